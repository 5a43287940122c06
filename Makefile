# make train   sets up .venv and trains ANCHOR on the embedded digits, into runs/anchor_digits
# make test    sets up .venv and runs the tests but the slow ones
# make numeric runs the tests that depend on the processor's arithmetic
# make slow    runs the tests that take minutes: the commands of the documents
# make hostile runs the long versions of the tests of faults and hostile input, about two hours
# make lint    checks style
PYTHON := $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$p && break; done)
RUN := runs/anchor_digits
TESTS := tests

.PHONY: train test numeric slow hostile lint

train: .venv/installed
	@if [ -e $(RUN) ]; then n=1; while [ -e $(RUN).$$n ]; do n=$$((n + 1)); done; \
		mv $(RUN) $(RUN).$$n; echo "the former run is now $(RUN).$$n"; fi
	.venv/bin/python -m anchor_tf.train --method=anchor --workdir=$(RUN)

test: .venv/installed-dev
	.venv/bin/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not slow" $(TESTS)

numeric: .venv/installed-dev
	.venv/bin/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder \
		-m "numeric and not slow" $(TESTS)
	.venv/bin/python -m pytest -q -k "not xla" tests/devices/test_replicas.py \
		tests/devices/test_workers.py

slow: .venv/installed-dev
	.venv/bin/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m slow $(TESTS)

hostile: .venv/installed-dev
	HOSTILE=full .venv/bin/python -m pytest -q -n 2 --dist loadfile tests/hostile tests/checkpoints

lint: .venv/installed-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

# The stamps record that a requirements file is installed, so that it is not done twice. The
# package itself is installed from this checkout, so that it is found from every folder.
.venv/installed: requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: Python 3.11, 3.12 or 3.13 is needed" >&2; exit 2; }
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation --editable .
	touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@
