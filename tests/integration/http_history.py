"""What the gateway says of two executions that are over: their history, and what they would have been."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.integration.http_api import Api
from tests.integration.http_workflows import LONG, QUICK

from talka_services.exports import Archive


def check_history(api: Api, first: str, second: str) -> None:
    """Check every operation that looks at the past of two executions that are over."""
    page = api.get(f"/executions/{first}/events", params={"limit": 2})
    assert [event["version"] for event in page["events"]] == [1, 2]
    page = api.get(f"/executions/{first}/events", params={"limit": 2, "cursor": page["next"]})
    assert [event["version"] for event in page["events"]] == [3, 4]
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
    steps = api.get(f"/executions/{first}/steps", params={"limit": 1, "cursor": steps["next"]})
    assert [step["version"] for step in steps["steps"]] == [event["version"] + 1]
    assert api.get(f"/executions/{first}/plan/events")["events"][0]["execution_id"] == first
    differences = api.get(f"/executions/{first}/diff/{second}")
    assert "a" in differences["changed"]
    assert api.get(f"/executions/{first}/tasks/a/explanation")["causes"][0]["kind"] == "succeeded"
    assert api.get(f"/executions/{first}/bottlenecks", params={"simulate": "false"})["segments"]
    _check_what_if(api, first)
    _check_record(api, first)
    assert api.get(f"/executions/{first}/usage")["execution_id"] == first
    assert api.get(f"/executions/{first}/eta", 409)["code"] == "execution_over"


def _check_record(api: Api, first: str) -> None:
    found = api.get(f"/executions/{first}/verification")
    assert (found["is_verified"], found["violations"]) == (True, [])
    assert api.get("/executions/nothing/verification", 404)["code"] == "unknown_execution"
    sent = api.send("GET", f"/executions/{first}/export")
    assert sent.headers["content-disposition"] == f'attachment; filename="{first}.talka.sqlite"'
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "execution"
        file.write_bytes(sent.content)
        with Archive(file) as archive:
            assert archive.manifest.execution_id == first
    assert api.get("/executions/nothing/export", 404)["code"] == "unknown_execution"
    (submission,) = api.get(f"/executions/{first}/requests")["requests"]
    assert (submission["asked_by"], submission["log"]) == ("anonymous@127.0.0.1", f"plan.{first}")
    assert submission["events"] == ["PlanAccepted"]
    assert api.get("/executions/nothing/requests", 404)["code"] == "unknown_execution"


def _check_what_if(api: Api, first: str) -> None:
    path = f"/executions/{first}/simulate"
    found = api.post(path, {"workers": 2, "strategy": "depth_first", "faster": {"a": 100}})
    assert found["recorded"]["status"] == found["simulated"]["status"] == "succeeded"
    assert found["simulated"]["makespan_s"] >= found["unchanged_s"]
    assert api.post(path, {"strategy": "depth_frist"}, 400)["hint"].startswith("Did you mean")
    assert api.post(path, {"faster": {"nothing": 1}}, 404)["code"] == "unknown_task"
    assert api.post(path, {"workers": 0}, 400)["code"] == "bad_body"
    assert api.post(path, {"pool": "default"})["simulated"]["status"] == "succeeded"
    assert "has no worker" in api.post(path, {"pool": "nothing"}, 400)["detail"]
    assert api.post("/executions/nothing/simulate", {}, 404)["code"] == "unknown_execution"


def check_holdings(api: Api, worker_id: str) -> None:
    """Check who holds what of a pool while something runs, and what is predicted from what has run."""
    assert api.get("/pools/nothing/allocations", 404)["code"] == "unknown_pool"
    running = api.submit(LONG)
    api.until(running, lambda found: found["running"] == ["slow"])
    allocations = api.get("/pools/default/allocations")["allocations"]
    # What an execution before held may just be on its way back.
    (held,) = [each for each in allocations if each["execution_id"] == running]
    assert (held["task_id"], held["worker_id"]) == ("slow", worker_id)
    used = api.get("/pools/default/utilisation", params={"slices": 1})
    assert used["total"]["slots"]["held"][-1] > 0
    api.post(f"/executions/{running}/cancel", {"force": True})
    assert api.over(running)["status"] == "cancelled"
    predicted = api.post("/predictions", content=QUICK, headers={"content-type": "application/yaml"})
    assert predicted["tasks"]["a"]["samples"] > 0
    assert 0 <= predicted["makespan_s"]["p5"] <= predicted["makespan_s"]["p95"]
