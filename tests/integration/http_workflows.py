"""Workflows that are sent to the HTTP API."""

from __future__ import annotations

QUICK = """
talka: 1
name: quick
inputs: {size: 3}
tasks:
  - {id: a, agent_type: sleep, payload: {seconds: 0, result: {n: "${input.size}"}}}
  - {id: b/c, agent_type: sleep, payload: {seconds: 0, result: "${a.n}"}, depends_on: [a]}
"""
LONG = """
talka: 1
name: long
tasks:
  - {id: slow, agent_type: sleep, payload: {seconds: 60}}
  - {id: other, agent_type: sleep, payload: {seconds: 60}, depends_on: [slow]}
"""
ASKING = """
talka: 1
name: asking
tasks:
  - {id: ask, agent_type: approval, payload: {question: "Plant?", assignees: [Ada], timeout_seconds: 60}}
  - {id: hear, agent_type: signal, payload: {name: rain, timeout_seconds: 60}, depends_on: [ask]}
"""
PRINTING = """
talka: 1
name: printing
tasks:
  - {id: say, agent_type: command, payload: {argv: [sh, -c, "echo rain; echo wind >&2"]}}
  - {id: other, agent_type: command, payload: {argv: [echo, snow]}}
"""
STARTED = {
    "talka": 1,
    "name": "started",
    "inputs": {"order": None},
    "tasks": [{"id": "pack", "agent_type": "sleep", "payload": {"seconds": 0, "result": "${input.order}"}}],
}
CHILD = "talka: 1\nname: x\ntasks:\n  - {id: a, agent_type: workflow, workflow_file: /etc/hostname}\n"
