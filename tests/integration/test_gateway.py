"""Every operation of the HTTP API on a platform that is up, each answer as the OpenAPI document says."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.http_api import PATIENCE_S, PREFIX, Api, messages
from tests.integration.http_history import check_history, check_holdings
from tests.integration.http_workflows import ASKING, CHILD, LONG, PRINTING, QUICK, STARTED

from talka_services.gateway.table import OPERATIONS

pytestmark = pytest.mark.xdist_group("gateway")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """`talka up` on a directory of its own, and a client of its gateway; it ends when it is told to."""
    directory = tmp_path_factory.mktemp("gateway")
    argv = [sys.executable, "-m", "talka", "up", "--json", "--data-dir", "up", "--http-port", "0"]
    with subprocess.Popen(argv, cwd=directory, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        client = Api(json.loads(process.stdout.readline())["http"])
        try:
            yield client
        finally:
            client.http.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0


def test_a_workflow_is_submitted_found_and_shown(api: Api) -> None:
    """From YAML and from JSON, once for each key; its tasks, results, events and states are there."""
    first = api.submit(QUICK, **{"idempotency-key": "one"})
    assert api.submit(QUICK, **{"idempotency-key": "one"}) == first
    reused = api.post("/executions", status=422, content=LONG, headers=_yaml("one"))
    assert reused["code"] == "key_reused"
    over = api.over(first)
    assert (over["status"], over["done"], over["counts"]) == ("succeeded", 2, {"succeeded": 2})
    query = {"input": "size=5", "strategy": "depth_first"}
    document = {"talka": 1, "name": "quick", **_tasks()}
    second = api.post("/executions", document, 201, params=query)["execution_id"]
    api.over(second)
    assert api.get(f"/executions/{first}/tasks/b%2Fc/result") == 3
    assert api.get(f"/executions/{second}/tasks/a/result") == {"n": 5}
    assert api.get(f"/executions/{second}/workflow")["config"]["strategy"] == "depth_first"
    detail = api.get(f"/executions/{first}/tasks/b%2Fc")
    assert (detail["task"]["result"], detail["needs"], detail["inputs"]) == (3, ["a"], {"a.n": 3})
    assert api.get(f"/executions/{first}/tasks/nothing", 404)["code"] == "unknown_task"
    results = api.get(f"/executions/{first}/results")
    assert {task: each["result"] for task, each in results["tasks"].items()} == {"a": {"n": 3}, "b/c": 3}
    page = api.get(f"/executions/{first}/tasks", params={"limit": 1})
    assert ([task["task_id"] for task in page["tasks"]], page["total"]) == (["a"], 2)
    following = {"cursor": page["next"], "status": ["succeeded", "failed"]}
    rest = api.get(f"/executions/{first}/tasks", params=following)
    assert ([task["task_id"] for task in rest["tasks"]], rest["next"]) == (["b/c"], None)
    large = api.post("/executions", {"talka": 1, "name": "large", **_tasks("x" * 70_000)}, 201)[
        "execution_id"
    ]
    api.over(large)
    assert api.get(f"/executions/{large}/results")["tasks"]["a"]["result"]["bytes"] == 70_008
    assert api.get(f"/executions/{large}/tasks/a/result") == {"n": "x" * 70_000}
    check_history(api, first, second)


def test_executions_are_listed_a_page_at_a_time(api: Api) -> None:
    """The cursor stays where it was while new ones begin, and what was just begun is there at once."""
    names = [api.submit(QUICK.replace("quick", "listed")) for _ in range(3)]
    wanted = {"name": "listed", "limit": 2}
    page = api.get("/executions", params=wanted)
    assert [each["execution_id"] for each in page["executions"]] == names[:0:-1]
    later = api.submit(QUICK.replace("quick", "listed"))
    rest = api.get("/executions", params={**wanted, "cursor": page["next"]})
    assert ([each["execution_id"] for each in rest["executions"]], rest["next"]) == (names[:1], None)
    api.over(later)
    (found,) = api.get("/executions", params={"search": later.upper(), "status": "succeeded"})["executions"]
    # What it held may be settled only after its end, which is one more event.
    assert found == {**api.get(f"/executions/{later}"), "version": found["version"]}
    accepted = found["accepted_at"]
    assert not api.get("/executions", params={"name": "listed", "since": accepted + 1})["executions"]
    before = api.get("/executions", params={"name": "listed", "until": accepted})["executions"]
    assert [each["execution_id"] for each in before] == names[::-1]
    assert api.get("/executions", 400, params={"cursor": "nonsense"})["code"] == "bad_parameter"
    assert not api.get("/executions", params={"parent": later})["executions"]
    assert api.get("/parked") == {"parked": [], "next": None}


def test_what_runs_is_paused_resumed_cancelled_and_made_anew(api: Api) -> None:
    """Each request is heard once under its key, and a refusal is repeated as it was."""
    one = api.submit(LONG)
    api.until(one, lambda found: found["running"] == ["slow"])
    key = {"Idempotency-Key": "pause-1"}
    paused = api.post(f"/executions/{one}/pause", {"reason": "rain"}, headers=key)
    assert paused == {"execution_id": one, "is_recorded": True, "status": "paused"}
    assert api.post(f"/executions/{one}/resume", {"seconds": 100})["status"] == "running"
    assert api.post(f"/executions/{one}/pause", {"reason": "rain"}, headers=key)["status"] == "running"
    assert api.post(f"/executions/{one}/tasks/other/pause", {})["task_id"] == "other"
    assert api.get(f"/executions/{one}")["paused"] == ["other"]
    assert api.post(f"/executions/{one}/tasks/other/resume")["is_recorded"]
    assert api.post(f"/executions/{one}/reprioritize", {"priority": 7, "strategy": "deadline"})["is_recorded"]
    assert api.post(f"/executions/{one}/reprioritize", {}, 400)["code"] == "bad_body"
    assert api.get(f"/executions/{one}/eta")["left"] == 2
    for _ in range(2):
        again = {"Idempotency-Key": "release-1"}
        refused = api.post(f"/executions/{one}/tasks/slow/release", {"fail": True}, 409, headers=again)
        assert refused["code"] == "not_parked"
    refusals = api.get(f"/executions/{one}/events", params={"type": "RequestRefused"})["events"]
    assert len(refusals) == 1
    assert api.post(f"/executions/{one}/tasks/nothing/cancel", {}, 404)["code"] == "unknown_task"
    assert api.post(f"/executions/{one}/tasks/other/cancel", {"reason": "enough"})["is_recorded"]
    cancel = {"Idempotency-Key": "cancel-1"}
    assert api.post(f"/executions/{one}/cancel", {"force": True}, headers=cancel)["is_recorded"]
    assert api.over(one)["status"] == "cancelled"
    assert api.post(f"/executions/{one}/cancel", {"force": True}, headers=cancel)["status"] == "cancelled"
    asked = api.get(f"/executions/{one}/requests")["requests"]
    assert {each["asked_by"] for each in asked} == {"anonymous@127.0.0.1"}
    assert [bool(each["refused"]) for each in asked if "RequestRefused" in each["events"]] == [True] * 2
    assert api.post(f"/executions/{one}/cancel", {}) == {
        "execution_id": one,
        "is_recorded": True,
        "status": "cancelled",
    }
    assert api.post(f"/executions/{one}/release", {})["status"] == "cancelled"
    _anew(api)


def _anew(api: Api) -> None:
    done = api.submit(QUICK)
    last = api.over(done)["version"]
    key = {"Idempotency-Key": "again"}
    assert api.post(f"/executions/{done}/restart", {"from_task": "b/c"}, headers=key)["is_recorded"]
    api.until(done, lambda found: found["version"] > last and found["status"] == "succeeded")
    assert api.post(f"/executions/{done}/restart", {"from_task": "b/c"}, headers=key)["is_recorded"]
    restarts = api.get(f"/executions/{done}/events", params={"type": "ExecutionRestarted"})["events"]
    assert len(restarts) == 1
    dry = api.post(f"/executions/{done}/rollback", {"to": "a", "dry_run": True})
    assert (dry["plan"]["again"], dry["is_recorded"]) == (["b/c"], False)
    assert api.post(f"/executions/{done}/rollback", {"to": "a", "then": "stop"})["is_recorded"]
    assert api.over(done)["status"] == "rolled_back"
    assert api.post(f"/executions/{done}/rollback", {"to": 99_999}, 404)["code"] == "unknown_event"
    fork = api.post(f"/executions/{done}/fork", {"at": last}, 201, headers=key)["execution_id"]
    assert api.post(f"/executions/{done}/fork", {"at": last}, 201, headers=key)["execution_id"] == fork
    assert api.over(fork)["status"] == "succeeded"


def test_questions_are_answered_and_signals_are_sent(api: Api) -> None:
    """A signal counts once under its key; a second answer is refused."""
    one = api.submit(ASKING)
    api.until(one, lambda found: found["waiting"] == ["ask"])
    (question,) = api.get(f"/executions/{one}/questions")["questions"]
    assert (question["task_id"], question["assignees"]) == ("ask", ["Ada"])
    for _ in range(2):
        told = api.post(
            f"/executions/{one}/signals",
            {"name": "rain", "data": {"mm": 3}},
            headers={"Idempotency-Key": "r"},
        )
        assert told["is_recorded"]
    for _ in range(2):
        answer = {"Idempotency-Key": "a"}
        told = api.post(f"/executions/{one}/tasks/ask/answer", {"by": "Ada"}, headers=answer)
        assert told["task_id"] == "ask"
    assert api.over(one)["status"] == "succeeded"
    assert api.get(f"/executions/{one}/tasks/hear/result") == {"mm": 3}
    assert api.post(f"/executions/{one}/tasks/ask/answer", {}, 409)["code"]
    assert api.post(f"/executions/{one}/signals", {"name": "rain"}, 409)["code"] == "execution_over"


def test_events_are_followed_live_and_from_where_a_reader_was(api: Api) -> None:
    """Live to the end; with Last-Event-ID nothing is missed or repeated; at the end a reader is sent off."""
    one = api.submit(ASKING)
    api.until(one, lambda found: found["waiting"] == ["ask"])
    path = f"{PREFIX}/executions/{one}/stream"
    seen: list[int] = []
    with api.http.stream("GET", path) as response:
        for line in response.iter_lines():
            if line.startswith("id: "):
                seen.append(int(line[4:]))
            if line == "event: TaskWaiting" or "approval" in line:
                break
    api.post(f"/executions/{one}/tasks/ask/answer", {})
    api.post(f"/executions/{one}/signals", {"name": "rain"})
    response = api.send("GET", f"/executions/{one}/stream", headers={"Last-Event-ID": str(seen[-1])})
    rest = messages(response.text)
    last = api.get(f"/executions/{one}")
    assert [*seen, *(number for number, _, _ in rest[:-1])] == list(range(1, last["version"] + 1))
    assert rest[-1] == (last["version"], "over", last)
    assert {kind for _, kind, _ in rest} >= {"TaskSucceeded", "ExecutionSucceeded"}
    done = api.http.get(path, headers={"Last-Event-ID": str(last["version"])})
    assert (done.status_code, done.content) == (204, b"")
    begun = messages(api.http.get(path, params={"from": last["version"]}).text)
    assert [number for number, _, _ in begun] == [last["version"]] * 2
    bad = api.get(f"/executions/{one}/stream", 400, headers={"Last-Event-ID": "x"})
    assert bad["code"] == "bad_parameter"
    assert api.get("/executions/nothing/stream", 404)["code"] == "unknown_execution"


def test_what_a_task_prints_is_read_and_followed(api: Api) -> None:
    """What one task printed, by attempt and channel; whoever follows it is told its end."""
    one = api.submit(PRINTING)
    path = f"/executions/{one}/tasks/say/logs"
    followed = api.send("GET", f"{path}/stream").text
    assert followed.endswith("event: over\ndata: {}\n\n")
    assert api.over(one)["status"] == "succeeded"
    parts = api.get(path)["parts"]
    assert [json.loads(line[6:]) for line in followed.splitlines() if '"channel"' in line] == parts
    told = {(each["attempt"], each["channel"], each["text"]) for each in parts}
    assert told == {(1, "stdout", "rain\n"), (1, "stderr", "wind\n")}
    assert api.get(path, params={"attempt": 2}) == {"parts": [], "next": None}
    assert api.get("/executions/nothing/tasks/say/logs", 404)["code"] == "unknown_execution"


def test_the_list_is_followed_live(api: Api) -> None:
    """What changes behind the list's position comes as soon as it does, within half a second."""
    position = api.get("/executions", params={"limit": 1})["position"]
    with api.http.stream("GET", f"{PREFIX}/stream", params={"after": position}) as response:
        api.asked.add("stream_executions")
        one = api.submit(QUICK)
        kinds, found = set[str](), dict[str, Any]()
        for line in response.iter_lines():
            kinds |= {line} & {"event: execution"}
            if line.startswith("data: "):
                found = json.loads(line[6:])
                if (found["execution_id"], found["status"]) == (one, "succeeded"):
                    break
    assert kinds
    # What its allocations become is recorded after its end.
    assert {**found, "version": 0} == {**api.get(f"/executions/{one}"), "version": 0}


def test_schedules_and_triggers_and_events_from_outside(api: Api) -> None:
    """A CloudEvent in either mode fires a trigger, once; schedules start work and are taken away."""
    creating = {"name": "orders", "trigger": {"on": "order.*", "inputs": {"order": "data.id"}}}
    key = {"Idempotency-Key": "t"}
    made = api.post("/triggers", {**creating, "workflow": STARTED}, 201, headers=key)
    assert (made["state"], made["fired"]) == ("active", 0)
    assert api.post("/triggers", {**creating, "workflow": STARTED}, 201, headers=key) == made
    assert api.post("/triggers", {**creating, "workflow": STARTED}, 409)["code"] == "trigger_exists"
    wrong = {"name": "wrong", "trigger": {"on": "order.*", "when": "data.total >"}, "workflow": STARTED}
    assert api.post("/triggers", wrong, 422)["code"]
    binary = {"ce-specversion": "1.0", "ce-id": "o%201", "ce-source": "shop", "ce-type": "order.created"}
    sent = {**binary, "content-type": "application/json"}
    first = api.post("/events", status=200, content=b'{"id": "a1"}', headers=sent)
    assert (first["id"], first["is_duplicate"]) == ("o 1", False)
    assert api.post("/events", status=200, content=b'{"id": "a1"}', headers=sent)["is_duplicate"]
    event = {"specversion": "1.0", "id": "2", "source": "shop", "type": "order.paid", "data": {"id": "a2"}}
    structured = {"content-type": "application/cloudevents+json; charset=utf-8"}
    api.post("/events", content=json.dumps(event).encode(), headers=structured)
    batch = {"content-type": "application/cloudevents-batch+json"}
    fired = api.until_fired("orders", 2)
    assert [api.over(each)["status"] for each in fired] == ["succeeded"] * 2
    assert [api.get(f"/executions/{each}/tasks/pack/result") for each in fired] == ["a1", "a2"]
    heap = json.dumps([event, {**event, "id": "3", "type": "else"}]).encode()
    stored = api.post("/events", content=heap, headers=batch)
    assert [(each["id"], each["is_duplicate"]) for each in stored] == [("2", True), ("3", False)]
    broken = json.dumps([{**event, "id": "4"}, {**event, "id": ""}]).encode()
    assert api.post("/events", status=422, content=broken, headers=batch)["code"] == "bad_event"
    del event["id"]
    bad = api.post("/events", status=422, content=json.dumps(event).encode(), headers=structured)
    assert bad["code"] == "bad_event"
    assert api.post("/triggers/orders/pause")["state"] == "paused"
    assert api.post("/triggers/orders/resume")["state"] == "active"
    assert [each["name"] for each in api.get("/triggers")["triggers"]] == ["orders"]
    gone = api.send("DELETE", "/triggers/orders", headers=key).json()
    assert gone["state"] == "deleted"
    assert api.send("DELETE", "/triggers/orders", headers=key).json() == gone
    assert api.get("/triggers/orders")["state"] == "deleted"
    assert api.get("/triggers/nothing", 404)["code"] == "unknown_trigger"
    _schedules(api)


def _schedules(api: Api) -> None:
    body = {"schedule": {"cron": "0 9 * * *"}, "workflow": STARTED, "inputs": {"order": "x"}}
    put = api.send("PUT", "/schedules/daily", json=body).json()
    assert (put["state"], put["workflow"]) == ("active", "started")
    bad = {**body, "schedule": {"cron": "61 * * * *"}}
    assert api.send("PUT", "/schedules/daily", 422, json=bad).json()["code"]
    key = {"Idempotency-Key": "now"}
    ran = api.post("/schedules/daily/run", status=201, headers=key)["execution_id"]
    assert api.post("/schedules/daily/run", status=201, headers=key)["execution_id"] == ran
    assert api.over(ran)["status"] == "succeeded"
    assert api.post("/schedules/daily/pause", headers=key)["state"] == "paused"
    assert api.post("/schedules/daily/resume", headers=key)["state"] == "active"
    assert api.post("/schedules/daily/pause", headers=key)["state"] == "active"
    assert api.get("/schedules/daily/events")["events"][0]["name"] == "daily"
    assert [each["name"] for each in api.get("/schedules")["schedules"]] == ["daily"]
    for _ in range(2):
        gone = api.send("DELETE", "/schedules/daily", headers=key).json()
        assert gone["state"] == "removed"
    assert api.get("/schedules/daily")["state"] == "removed"
    assert api.get("/schedules/nothing", 404)["code"] == "unknown_schedule"
    assert api.get("/schedules/nothing/events", 404)["code"] == "unknown_schedule"
    later = api.post(
        "/executions", status=202, content=QUICK, params={"at": time.time() + 3600}, headers=_yaml()
    )
    assert later["status"] == "accepted"
    path, end = f"/schedules/at-{later['execution_id']}", time.monotonic() + PATIENCE_S
    while api.http.get(PREFIX + path).status_code == 404:  # It is on file, and its starter takes it up.
        assert time.monotonic() < end
        time.sleep(0.02)
    assert api.send("DELETE", path).json()["state"] == "removed"
    burst = {"debounce": "tides", "quiet_seconds": 0.2}
    first = api.post("/executions", status=202, content=QUICK, params=burst, headers=_yaml())
    assert api.post("/executions", status=202, content=QUICK, params=burst, headers=_yaml()) == first


def test_pools_workers_and_the_audit(api: Api) -> None:
    """What there is, what is free, and whether every allocation was as it must be."""
    (worker,) = api.get("/workers", params={"pool": "default"})["workers"]
    (pool,) = api.get("/pools")["pools"]
    assert pool["workers"][0]["worker_id"] == worker["worker_id"]
    assert api.get("/pools/default")["pool"] == "default"
    assert api.get("/pools/nothing", 404)["code"] == "unknown_pool"
    used = api.get("/pools/default/utilisation", params={"slices": 3})
    assert used["workers"][worker["worker_id"]]["cpu_cores"]["capacity"][-1] > 0
    assert used["until"] - used["since"] == pytest.approx(3600)
    assert len(used["total"]["slots"]["held"]) == 3
    backwards = {"since": used["until"], "until": used["since"]}
    assert api.get("/pools/default/utilisation", 400, params=backwards)["code"] == "bad_parameter"
    assert api.get("/pools/nothing/utilisation", 404)["code"] == "unknown_pool"
    assert api.get("/pools/default/events", params={"type": "WorkerJoined"})["events"][0]["pool"] == "default"
    check_holdings(api, worker["worker_id"])
    assert api.get("/me") == {"name": "anonymous@127.0.0.1", "role": "admin", "is_limited": False}
    audit = api.get("/audit")
    assert (audit["clean"], audit["violations"], audit["signatures"]) == (True, [], None)
    assert api.get("/audit", 400, params={"signatures": "true"})["code"] == "bad_parameter"


def test_what_is_wrong_is_a_problem_with_its_place(api: Api) -> None:
    """Bad workflows, bodies, parameters, routes, methods and hosts: each has a code and says what to do."""
    broken = "talka: 1\nname: x\ntasks:\n  - {id: a, agent_type: sleep, depends_on: [b]}\n"
    found = api.post("/workflows/validate", status=422, content=broken, headers=_yaml())
    assert (found["code"], found["line"]) == ("unknown_task", 4)
    assert api.post("/workflows/validate", content=QUICK, headers=_yaml())["name"] == "quick"
    found = api.post("/executions", status=422, content=CHILD, headers=_yaml())
    assert (found["code"], found["line"]) == ("not_allowed", 4)
    assert "hostname" not in found["detail"]
    found = api.post("/executions", status=422, content=b"{", headers={"content-type": "application/json"})
    assert found["code"]
    assert api.get("/executions", 400, params={"limit": "many"})["code"] == "bad_parameter"
    assert api.get("/executions", 400, params={"limt": 5})["hint"] == "Did you mean 'limit'?"
    assert api.post("/executions/x/pause", {"resaon": "y"}, 400)["code"] == "bad_body"
    given: dict[str, Any] = {"content": b"{", "headers": {"content-type": "application/json"}}
    assert api.post("/executions/x/pause", status=400, **given)["code"] == "bad_body"
    assert api.post("/executions/x/pause", status=415, content=b"{}")["code"] == "unsupported_media_type"
    large = {"content": b" " * 1_100_000, "headers": {"content-type": "application/json"}}
    assert api.post("/executions/x/pause", status=413, **large)["code"] == "body_too_large"
    deep = {"name": "x", "data": json.loads("[" * 100 + "]" * 100)}
    assert api.post("/executions/x/signals", deep, 413)["code"] == "body_too_deep"
    assert api.post("/executions/x/pause", {}, 404)["code"] == "unknown_execution"
    assert api.get("/executions/%3E", 404)["code"] == "unknown_execution"
    assert api.get("/executions/a%20b?wait=5", 404)["code"] == "unknown_execution"
    assert api.get("/nothing", 404)["code"] == "unknown_route"
    wrong = api.send("DELETE", "/executions", 405)
    assert (wrong.json()["code"], wrong.headers["allow"]) == ("method_not_allowed", "GET, HEAD, POST")
    assert api.http.head(f"{PREFIX}/executions").status_code == 200
    assert api.get("/executions", 403, headers={"host": "evil.example"})["code"] == "forbidden_host"
    origin = {"origin": "https://evil.example"}
    assert api.post("/executions/x/pause", {}, 403, headers=origin)["code"] == "forbidden_origin"
    own = {"origin": str(api.http.base_url).rstrip("/")}
    assert api.get("/executions", headers=own)["position"]
    assert 'id="page"' in api.http.get("/").text
    assert api.http.get("/readyz").json() == {"status": "ready", "namespace": "default"}
    assert api.http.get("/healthz").json()["status"] == "alive"


def test_alerts_are_listed_followed_and_acknowledged(api: Api) -> None:
    assert api.post("/alerts/999/acknowledge", {}, 404)["code"] == "unknown_alert"
    after = api.get("/alerts", params={"all": "true"})["version"]
    api.asked.add("stream_alerts")
    with api.http.stream("GET", f"{PREFIX}/alerts/stream?after={after}") as response:
        assert next(response.iter_lines()) == ": heartbeat"


def test_every_operation_was_asked(api: Api, request: pytest.FixtureRequest) -> None:
    """Together the tests above drive each operation of the table, so that none is only described."""
    here = {item.name for item in request.session.items if item.path == request.path}
    if not here >= {name for name in globals() if name.startswith("test_")}:
        pytest.skip("only some of the tests above were asked for")
    assert api.names == {operation.name for operation in OPERATIONS}
    assert api.names - api.asked == set()


def _yaml(key: str = "") -> dict[str, str]:
    return {"content-type": "application/yaml"} | ({"idempotency-key": key} if key else {})


def _tasks(size: Any = 1) -> dict[str, Any]:
    task = {"id": "a", "agent_type": "sleep", "payload": {"seconds": 0, "result": {"n": "${input.size}"}}}
    return {"inputs": {"size": size}, "tasks": [task]}
