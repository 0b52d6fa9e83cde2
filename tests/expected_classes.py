"""What the tables of results by class must show, worked out from report.json alone."""

from typing import Any

from tests.expected_cells import Expected, Shown, Tables, label_of, shows

Row = dict[str, Any]
ANSWERED = {"other": "text that names no class", "unparsable": "unparsable", "missing": "no other class"}


def page(report: Row) -> Tables:
    tables: Tables = {}
    for cell in report["cells"]:
        results = cell["classes"]
        if not results:
            continue
        tables[f"Classes of {cell['label']}"] = scores(cell, results)
        if results["matrix"]:
            for arm in ("base", "tuned"):
                tables[f"Confusion matrix of {cell['label']}, {label_of(cell, arm)}"] = matrix(results["matrix"], arm)
        else:
            tables[f"Largest confusions of {cell['label']}"] = [
                {"Target": row["target"], "Answer": answered(row)}
                | {head: shows("{n}", row[arm]) for head, arm in (("Base", "base"), ("Fine-tuned", "tuned"))}
                for row in results["confusions"]
            ]
    return tables


def answered(row: Row) -> str:
    return str(row["answer"] if row["kind"] == "class" else ANSWERED[row["kind"]])


def scores(cell: Row, results: Row) -> list[Expected]:
    """The weakest 20 classes, the macro F1 and what is no class."""
    *_, best, _ = results["arms"]
    against = cell["headline"]["kind"].capitalize()
    rows: list[Expected] = []
    for row in results["classes"][:20]:
        cells: Expected = {"Class": row["label"], "n": shows("{n}", row["n"])}
        cells |= {label_of(cell, arm): of_class(row["arms"][arm]) for arm in results["arms"]}
        one, other = row["arms"]["tuned"]["f1"], row["arms"][best]["f1"]
        rows.append(cells | {against: "n/a" if one is None or other is None else shows("{+}", one - other)})
    macro = results["macro_f1"]
    cells = {"Class": "Macro F1", "n": shows("{n}", results["n"]), against: shows("{+}", macro["tuned"] - macro[best])}
    rows.append(cells | {label_of(cell, arm): shows("{}", macro[arm]) for arm in results["arms"]})
    for name, key in (("Unparsable", "unparsed"), ("Labels that are no class" if results["several"] else "Answers with no class", "other")):
        if key == "unparsed" or any(results[key].values()):
            counts = {label_of(cell, arm): shows("{n}", number) for arm, number in results[key].items()}
            rows.append({"Class": name, "n": "", against: "", **counts})
    return rows


def of_class(row: Row) -> str | Shown:
    if row["f1"] is None:
        return "n/a"
    values = [row[key] for key in ("precision", "recall") if row[key] is not None]
    below = ", ".join(f"{key[0].upper()} {'n/a' if row[key] is None else '{}'}" for key in ("precision", "recall"))
    return shows(f"{{}} {below}", row["f1"], *values)


def matrix(rows: list[Row], arm: str) -> list[Expected]:
    labels = [row["label"] for row in rows]
    heads = [*labels, "No class", "Unparsable"]
    has_others = any(row[arm][-2] for row in rows)
    table: list[Expected] = []
    for row in rows:
        cells = {head: shows("{n}", number) for head, number in zip(heads, row[arm], strict=True) if head != "No class" or has_others}
        table.append({"Target": row["label"], **cells})
    return table


def markdown(report: Row) -> list[Expected]:
    rows: list[Expected] = []
    for cell in report["cells"]:
        if results := cell["classes"]:
            macro = results["macro_f1"]
            row: Expected = {"Task": cell["label"], "Classes": shows("{n}", len(results["classes"]))}
            row |= {"Macro F1, base": shows("{}", macro["base"]), "Macro F1, fine-tuned": shows("{}", macro["tuned"])}
            row["Macro F1, best baseline"] = shows("{}", macro[results["arms"][-2]])
            weakest = [one for one in results["classes"] if one["arms"]["tuned"]["f1"] is not None][:3]
            figures = [figure for one in weakest for figure in (one["arms"]["tuned"]["f1"], one["n"])]
            row["Weakest classes by F1"] = shows("; ".join(f"{one['label']} {{}} (n = {{n}})" for one in weakest), *figures)
            confused = [one for one in results["confusions"] if one["tuned"]][:3]
            pattern = "; ".join(f"{one['target']} -> {answered(one)} {{n}}" for one in confused)
            rows.append(row | {"Largest confusions": shows(pattern, *(one["tuned"] for one in confused)) if confused else "none"})
    return rows
