# The two commands that matter: `make demo` shows Talka at work, `make test` tests it.
# Each installs what it needs into .venv first.

PYTHON ?= python3
UV = .venv/bin/uv
# Tests start hundreds of processes: wherever nothing compiled may be kept, each of them would compile everything anew.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo test check chaos scenarios fuzz nightly bench page docs clean

demo: .venv/run
	.venv/bin/talka run docs/examples/quickstart.yaml --data-dir .talka-demo
	@echo
	@echo "Where to look next:"
	@echo "  .venv/bin/talka --help                                what else there is"
	@echo "  .venv/bin/talka up --data-dir .talka-demo             the web page, at the address that it prints"
	@echo "  .venv/bin/talka list --data-dir .talka-demo           what has run, with ids"
	@echo "  .venv/bin/talka events ID --data-dir .talka-demo      every transition of one run"
	@echo "  .venv/bin/talka replay ID --verify --data-dir .talka-demo"
	@echo "  docs/examples/quickstart.yaml                         the workflow itself"

test: .venv/dev
	.venv/bin/pytest -q -n 3 --dist loadgroup -m "not slow and not nightly and not browser and not containers"

check: .venv/dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/pyright
	.venv/bin/lint-imports

# The simulation, then real processes under load with kills: an hour, or MINUTES.
MINUTES ?= 60

chaos: .venv/dev
	.venv/bin/python -m talka_chaos --seeds 500 --every-kind --jobs $$(nproc)
	.venv/bin/python -m talka_chaos.soak --minutes $(MINUTES) --load 0.7

# Half an hour: real processes under load, of which one thing after the other is broken and healed. Some need root.
scenarios: .venv/dev
	.venv/bin/python -m talka_chaos.scenarios

# Hours on a small machine: more of what `make chaos` does. It says now and then how far it is, and names failing seeds.
# DATA=FOLDER has the scheduler judged on published instances, too.
nightly: .venv/dev
	.venv/bin/python -m talka_chaos --seeds 10000 --every-kind --jobs $$(nproc)
	.venv/bin/pytest -q -n $$(nproc) -m nightly tests
	.venv/bin/python -m tests.nightly.nodes
	.venv/bin/python -m tests.nightly.failover
	$(if $(DATA),.venv/bin/python -m tests.nightly.instances $(DATA))
	.venv/bin/python -m talka_chaos.scenarios --times 5

# An hour of requests to the gateway and of input for every decoder. What breaks something is in .fuzz, and belongs into
# tests/fuzz/corpus with the fix. (--inexact: the fuzzer comes on top of what is installed.)
fuzz: .venv/dev
	$(UV) sync --quiet --locked --inexact --group fuzz
	.venv/bin/python -m tests.fuzz --minutes $(or $(MINUTES),60) --folder .fuzz

bench: .venv/run
	.venv/bin/talka bench

# The documentation as a site in .site; `python3 -m http.server -d .site` shows it, with its search.
docs: .venv/dev
	NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --quiet --strict

# The web page's built files are committed, so that nobody needs Node to use them; this builds them anew.
page: page/node_modules/.package-lock.json
	cd page && npx tsc && npx vitest run && npx vite build

page/node_modules/.package-lock.json: page/package.json page/package-lock.json
	cd page && npm ci --silent --no-fund --no-audit

# Marker files say what is installed, so that a second call costs nothing.
.venv/run: pyproject.toml uv.lock
	test -x $(UV) || ($(PYTHON) -m venv .venv && .venv/bin/pip install --quiet --disable-pip-version-check "uv>=0.9,<1")
	$(UV) sync --quiet --locked --no-dev --inexact
	touch $@

.venv/dev: pyproject.toml uv.lock
	test -x $(UV) || ($(PYTHON) -m venv .venv && .venv/bin/pip install --quiet --disable-pip-version-check "uv>=0.9,<1")
	$(UV) sync --quiet --locked --all-groups --no-group deploy --no-group image --no-group fuzz
	touch $@ .venv/run

clean:
	rm -rf .venv .talka-demo .fuzz .site dist page/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
