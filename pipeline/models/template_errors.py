"""The error for a conversation that a chat template does not render, and what to do about it."""

from pipeline.errors import ModelError

TURNS_REMEDY = "Change the rows, or name a base whose chat template takes such turns."
TOOLS_REMEDY = "Name a base whose chat template has tools, or take tools, their calls and their results out of the rows."
NO_TEMPLATE_REMEDY = "Name an instruct model, whose tokenizer has a chat template."


class ChatTemplateError(ModelError):
    """A conversation that the chat template of a base does not render, or not as training needs it."""
