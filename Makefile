# The commands. `make help` lists them; every target installs what it needs first.
.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-all test-system test-times fuzz lint docs lock new-family train promote ui serve worker predict bento user-add user-list user-password user-disable user-enable user-remove lineage release rollback challenge rebuild push gc reproduce accept history verify sign keys store-put store-get darknet-export darknet-import gravures-add gravures-remove bench load
SHELL := bash

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export TF_CPP_MIN_LOG_LEVEL ?= 3
export MLFLOW_ALLOW_PICKLE_DESERIALIZATION := false
export MLFLOW_DISABLE_TELEMETRY := true

PYTHON ?= python3
UV := $(or $(shell PATH="$(PATH)" command -v uv),.uv/bin/uv)
FAMILIES := $(sort $(basename $(notdir $(wildcard conf/family/*.yaml))))
EVERY := $(subst $(subst ,, ),+,serve $(FAMILIES))
LOCK := uv pip compile --universal --generate-hashes --no-header --no-annotate --all-extras -q pyproject.toml -o requirements.lock
ifneq ($(filter train promote serve worker predict bento release rollback challenge history sign load,$(MAKECMDGOALS)),)
ifeq ($(filter $(FAMILIES),$(family)),)
$(error family=$(family) is unknown. Choose one of: $(FAMILIES))
endif
endif
given = $(or $($(1)),$(error $(1)= is missing. For example: $(2)))
moved = $(or $(strip $(foreach name,dataset cfg weights,$(if $($(name)),--$(name) '$($(name))'))),$(error dataset=, cfg= or weights= is missing. For example: $(1)))
IMPORT := make darknet-import candidate=signatures-all cfg=darknet/network.cfg weights=darknet/backup/network_best.weights
NEW := make new-family name=leaves like=objects
PYTEST := pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
host ?= 127.0.0.1

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS=$$'\t' read -r name words; do printf '  make %-14s %s\n' "$$name" "$$words"; done
	@echo "  families: $(FAMILIES)"

demo: .venv/with-serve+digits ## everything on embedded data, in a copy (.demo/): train, promote, serve, predict
	@python -m serving.digits.demo

test: .venv/with-serve+digits+dev ## the quick tests, in minutes; what they leave out is named at the end
	@$(PYTEST)

test-slow: .venv/with-$(EVERY)+dev ## the tests that need all frameworks, browsers and external servers
	@$(PYTEST) -m slow

test-all: .venv/with-$(EVERY)+dev ## the quick and the slow tests
	@$(PYTEST) -m "not system and not long"

test-system: .venv/with-$(EVERY)+dev ## the heaviest tests, such as a family made from another one, trained and served
	@pytest -m system

test-times: .venv/with-$(EVERY)+dev ## test-all, with the seconds of each file in reports/tests.json
	@$(PYTEST) -m "not system and not long" --times

fuzz: .venv/with-$(EVERY)+dev ## hostile input: the long fuzz tests
	@pytest -m long tests/test_hostile.py

lint: .venv/with-$(EVERY)+dev ## style and types
	@ruff check . && ruff format --check . && mypy

docs: .venv/with-serve+docs ## [serve=yes port=8000]: the documentation as a site in .docs/site/, strict; shown on the loopback address
	@python -m docs.generate $(if $(filter yes,$(serve)),--serve $(host):$(or $(port),8000))

lock: .venv/with-$(EVERY)+dev ## renew requirements.lock from pyproject.toml
	@$(LOCK) --upgrade

new-family: .venv/with-serve+dev ## name=leaves like=objects: a new family as a copy of another one, and what to change in it
	@python -m pipelines.scaffold --name '$(call given,name,$(NEW))' --like '$(call given,like,$(NEW))'
	@ruff check -q --fix . && ruff format -q .

train: .venv/with-serve+$(family) ## family=digits: ingest, train all candidates, evaluate, promote
	@dvc repro promote@$(family)

promote: .venv/with-serve+$(family) ## family=digits: decide again on the evaluated candidates
	@dvc repro -s promote@$(family)

ui: .venv/with-serve ## [port=5000]: MLflow on the loopback address: runs, versions, aliases
	@python -m pipelines.registry reconcile
	@mlflow ui --backend-store-uri sqlite:///mlruns/mlflow.db --host $(host) --port $(or $(port),5000)

serve: .venv/with-serve ## family=digits [host=127.0.0.1 port=3000 workers=1 jobs=1]: the champion over HTTP; `jobs` (or JOBS_WORKERS) workers beside it
	@python -m serving --family $(family) --host $(host) --port $(or $(port),3000) --workers $(or $(workers),1) $(if $(jobs),--jobs $(jobs))

worker: .venv/with-serve ## family=ocr: one more worker for its jobs, also on another machine with the service's JOBS_URL (and BROKER_URL)
	@python -m serving.jobs.worker --family $(family)

predict: .venv/with-serve ## family=digits image=my_digit.png: one answer, without a server
	@python -m serving.ask --family $(family) --image '$(call given,image,make predict family=$(family) image=my_image.png)'

bento: .venv/with-serve+bento ## family=digits: the champion and its endpoint as a bento, with a linted Dockerfile
	@python -m serving.bento --family $(family)

user-add: .venv/with-serve ## name=ada [administrator=yes]: add a user; asks for a password, or reads it from standard input
	@python -m serving.auth.accounts add --name '$(call given,name,make user-add name=ada)' $(if $(filter yes,$(administrator)),--administrator)

user-list: .venv/with-serve ## the users, at USERS_URL or in .store/users.db
	@python -m serving.auth.accounts list

user-password: .venv/with-serve ## name=ada: set another password; ends the user's sessions
	@python -m serving.auth.accounts password --name '$(call given,name,make user-password name=ada)'

user-disable: .venv/with-serve ## name=ada: block a user until `make user-enable name=ada`; ends the user's sessions
	@python -m serving.auth.accounts disable --name '$(call given,name,make user-disable name=ada)'

user-enable: .venv/with-serve ## name=ada: unblock a user
	@python -m serving.auth.accounts enable --name '$(call given,name,make user-enable name=ada)'

user-remove: .venv/with-serve ## name=ada: remove a user; ends the user's sessions
	@python -m serving.auth.accounts remove --name '$(call given,name,make user-remove name=ada)'

lineage: .venv/with-serve ## of=digits@champion [files=yes json=yes]: from a version, alias, run, prediction, answer or folder back to the source files
	@python -m pipelines.lineage '$(call given,of,make lineage of=digits@champion)' $(if $(filter yes,$(files)),--files) $(if $(filter yes,$(json)),--json)

release: .venv/with-serve ## family=digits: the champion's served files to released/, for git
	@python -m pipelines.registry.releases --family $(family)

rollback: .venv/with-serve ## family=digits [to=1 why="it takes 7 for 1"]: an earlier version becomes the champion again
	@python -m pipelines.registry rollback --family $(family) $(if $(to),--to $(to)) $(if $(why),--why "$$why")

history: .venv/with-serve ## family=digits [at=2026-11-01 or at=2026-11-01T12:00, json=yes]: every decision, or what served then, and why
	@python -m pipelines.ledger.history --family $(family) $(if $(at),--at '$(at)') $(if $(filter yes,$(json)),--json)

verify: .venv/with-serve ## [family=digits]: every stored byte against its recorded checksum; what is broken, and its repair
	@python -m pipelines.audit.verify $(if $(family),--family '$(family)')

keys: .venv/with-serve ## [to=.store/keys]: a key pair for signing models, for MODEL_SIGNING_KEY and MODEL_VERIFYING_KEY
	@python -m pipelines.registry.signatures keys $(if $(to),--to '$(to)')

sign: .venv/with-serve ## family=digits: sign every version on this machine with MODEL_SIGNING_KEY, in registry/signatures/ and beside the model
	@python -m pipelines.registry.signatures sign --family $(family)

rebuild: .venv/with-serve ## [remote=store]: after `dvc pull`, restore runs, versions, aliases and pointers from the ledgers; nothing is trained
	@python -m pipelines.audit.rebuild $(if $(remote),--remote '$(remote)')

push: .venv/with-serve ## [remote=store]: send what dvc.lock and the ledgers name, also of older versions, to a DVC remote
	@python -m pipelines.artifacts.remotes push $(if $(remote),--remote '$(remote)')

gc: .venv/with-serve ## [remote=store]: remove from DVC's cache, and from the remote, what no dvc.lock and no ledger of any branch names
	@python -m pipelines.artifacts.remotes gc $(if $(remote),--remote '$(remote)')

challenge: .venv/with-serve ## family=digits candidate=digits-adam [share=0.1], or candidate=none: a challenger that answers beside the champion, unseen, to be compared
	@python -m pipelines.registry.challenge --family $(family) $(if $(share),--share '$(share)') \
	  --candidate '$(call given,candidate,make challenge family=$(family) candidate=$(family)-name share=0.1)'

reproduce: .venv/with-serve+$(firstword $(subst @, ,$(of))) ## of=digits@champion: train a version again from manifest and record; exit 0 where the digests agree, 3 where they differ
	@python -m pipelines.audit.reproduce '$(call given,of,make reproduce of=digits@champion)'

accept: .venv/with-$(if $(filter all,$(candidate)),$(EVERY),serve+$(firstword $(subst -, ,$(candidate)))) ## candidate=digits-adam, or all: prove by a few steps that changed code trains the same to the bit; then nothing is stale
	@python -m pipelines.audit.accept --candidate '$(call given,candidate,make accept candidate=digits-adam)'

store-put: .venv/with-serve+mongo ## dataset=letters from=letters.tar, or cfg=my.cfg, or weights=my.weights: into the image store at MONGO_URL
	@python -m pipelines.imagestore put $(call moved,make store-put dataset=letters from=letters.tar) \
	  $(if $(dataset),--from '$(call given,from,make store-put dataset=$(dataset) from=$(dataset).tar)')

store-get: .venv/with-serve+mongo ## dataset=letters to=folder, or cfg=my.cfg to=file, or weights=my.weights to=file: from the image store, byte for byte
	@python -m pipelines.imagestore get $(call moved,make store-get dataset=letters to=letters) --to '$(call given,to,make store-get dataset=letters to=letters)'

darknet-export: .venv/with-serve+signatures ## candidate=signatures-all to=folder: cfg, lists and images for training with Darknet
	@python -m pipelines.families.signatures.exchange export --out '$(call given,to,make darknet-export candidate=signatures-all to=darknet)' \
	  --candidate '$(call given,candidate,make darknet-export candidate=signatures-all to=$(to))'

darknet-import: .venv/with-serve+signatures ## candidate=signatures-all cfg=network.cfg weights=network_best.weights: the network that Darknet trained, as a candidate
	@python -m pipelines.families.signatures.exchange import --cfg '$(call given,cfg,$(IMPORT))' --weights '$(call given,weights,$(IMPORT))' \
	  --candidate '$(call given,candidate,$(IMPORT))'

gravures-add: .venv/with-serve ## name=star image=star.png: add an engraving from one image, without training; services find it at once
	@python -m serving.gravures.adding add --name '$(call given,name,make gravures-add name=star image=star.png)' \
	  --image '$(call given,image,make gravures-add name=star image=star.png)'

gravures-remove: .venv/with-serve ## name=star: remove an added engraving
	@python -m serving.gravures.adding remove --name '$(call given,name,make gravures-remove name=star)'

bench: .venv/with-$(EVERY)+bench ## [name=http]: Atelier against its peers, to reports/benchmarks.json (needs wrk)
	@python -m benchmarks $(name)

load: .venv/with-serve+bench ## family=digits [users=100 seconds=60]: load test of a service on the loopback address
	@python -m benchmarks.load --family $(family) --users $(or $(users),100) --seconds $(or $(seconds),60)

.uv/bin/uv:
	@$(PYTHON) -m venv .uv && .uv/bin/pip install -q --disable-pip-version-check uv

.venv/with-%: pyproject.toml requirements.lock | $(UV)
	@echo "Setting up .venv ($(subst +,$(strip ,) ,$*)) ..."
	@$(UV) venv -q --allow-existing .venv
	@$(UV) pip install -q --python .venv/bin/python --constraint requirements.lock -r pyproject.toml $(addprefix --extra ,$(subst +, ,$*))
	@touch $@
