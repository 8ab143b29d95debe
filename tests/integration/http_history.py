"""What the gateway says of two executions that are over: their history, and what they would have been."""

from __future__ import annotations

from tests.integration.http_api import Api


def check_history(api: Api, first: str, second: str) -> None:
    """Check every operation that looks at the past of two executions that are over."""
    page = api.get(f"/executions/{first}/events", params={"limit": 2})
    assert ([event["version"] for event in page["events"]], page["next"]) == ([1, 2], 3)
    ended = api.get(f"/executions/{first}/events", params={"type": "TaskSucceeded", "task": "a"})
    (event,) = ended["events"]
    assert event["execution_id"] == first
    tail = api.get(f"/executions/{first}/events", params={"from": event["version"]})["events"]
    assert [each["version"] for each in tail][:2] == [event["version"], event["version"] + 1]
    state = api.get(f"/executions/{first}/state", params={"at": event["version"]})
    assert {task["task_id"]: task["status"] for task in state["tasks"]}["a"] == "succeeded"
    assert state["execution"]["version"] == event["version"]
    assert api.get(f"/executions/{first}/state", 404, params={"at": 999})["code"] == "unknown_event"
    steps = api.get(f"/executions/{first}/steps", params={"from": event["version"], "limit": 1})
    assert steps["steps"][0]["tasks"]["a"][1] == "succeeded"
    assert steps["next"] == event["version"] + 1
    assert api.get(f"/executions/{first}/plan/events")["events"][0]["execution_id"] == first
    differences = api.get(f"/executions/{first}/diff/{second}")
    assert "a" in differences["changed"]
    assert api.get(f"/executions/{first}/tasks/a/explanation")["causes"][0]["kind"] == "succeeded"
    assert api.get(f"/executions/{first}/bottlenecks", params={"simulate": "false"})["segments"]
    _check_what_if(api, first)
    assert api.get(f"/executions/{first}/usage")["execution_id"] == first
    assert api.get(f"/executions/{first}/eta", 409)["code"] == "execution_over"


def _check_what_if(api: Api, first: str) -> None:
    path = f"/executions/{first}/simulate"
    found = api.post(path, {"workers": 2, "strategy": "depth_first", "faster": {"a": 100}})
    assert found["recorded"]["status"] == found["simulated"]["status"] == "succeeded"
    assert found["simulated"]["makespan_s"] >= found["unchanged_s"]
    assert api.post(path, {"strategy": "depth_frist"}, 400)["hint"].startswith("Did you mean")
    assert api.post(path, {"faster": {"nothing": 1}}, 404)["code"] == "unknown_task"
    assert api.post(path, {"workers": 0}, 400)["code"] == "bad_body"
    assert api.post("/executions/nothing/simulate", {}, 404)["code"] == "unknown_execution"
