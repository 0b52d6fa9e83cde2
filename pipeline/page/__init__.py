"""The report: collects its data, draws charts, fills the templates, and writes the model cards.

Imports `measures`, `lora_land`, `arms` and the rooms below them. Start with `report_data.py`; each `*_section.py` feeds the
template of its name in `templates/`.
"""
