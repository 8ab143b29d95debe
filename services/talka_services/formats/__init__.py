"""File formats: Talka files, WfCommons WfFormat, and Python functions that return workflows."""

from talka_services.formats.inputs import bind_inputs, parse_inputs
from talka_services.formats.loader import is_function, load, load_function, workflow_of
from talka_services.formats.source import Source, read_file, read_text
from talka_services.formats.talka_file import dump_yaml, to_document
from talka_services.formats.wfexport import TaskTimes, export_wfformat
from talka_services.formats.wfformat import machines

__all__ = [
    "Source",
    "TaskTimes",
    "bind_inputs",
    "dump_yaml",
    "export_wfformat",
    "is_function",
    "load",
    "load_function",
    "machines",
    "parse_inputs",
    "read_file",
    "read_text",
    "to_document",
    "workflow_of",
]
