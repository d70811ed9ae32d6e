# The commands. `make help` lists them; every target installs what it needs first.
.DEFAULT_GOAL := help
.PHONY: help demo train cluster-up promote experiment sweep sweep-show sweep-adopt experiments plots notebooks ui lineage reproduce accept new-family store-put store-get darknet-export darknet-import up portal serve worker predict batch bento release challenge rollback history gravures-add gravures-remove user-add user-list user-password user-role user-disable user-enable user-remove verify keys sign reconcile merge restore-ledger rebuild push gc test test-slow test-all test-system test-times fuzz lint docs lock bench load
SHELL := bash

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export TF_CPP_MIN_LOG_LEVEL ?= 3
export MLFLOW_ALLOW_PICKLE_DESERIALIZATION := false
export MLFLOW_DISABLE_TELEMETRY := true
unexport PYTHONDONTWRITEBYTECODE  # each of the many processes would compile MLflow and the frameworks anew: seconds

PYTHON ?= python3
UV := $(shell PATH="$(PATH)" command -v uv)
FAMILIES := $(sort $(basename $(notdir $(wildcard conf/family/*.yaml))))
ALL_EXTRAS := $(subst $(subst ,, ),+,serve $(FAMILIES))
ifneq ($(filter train promote experiment sweep sweep-show sweep-adopt serve worker predict batch bento release rollback challenge history sign load,$(MAKECMDGOALS)),)
ifeq ($(filter $(FAMILIES) $(if $(filter train,$(MAKECMDGOALS)),all),$(family)),)
$(error family=$(family) is unknown. Choose one of: $(FAMILIES))
endif
endif
require = $(or $($(1)),$(error $(1)= is missing. For example: $(2)))
selected = $(or $(strip $(foreach name,dataset cfg weights,$(if $($(name)),--$(name) '$($(name))'))),$(error dataset=, cfg= or weights= is missing. For example: $(1)))
IMPORT_EXAMPLE := make darknet-import candidate=signatures-all cfg=darknet/network.cfg weights=darknet/backup/network_best.weights
EXPERIMENT_EXAMPLE := make experiment family=digits set='digits-adam:fit.epochs=4'
NEW_EXAMPLE := make new-family name=leaves like=objects
host ?= 127.0.0.1
cluster_extra = $(if $(filter ray,$(on)),+cluster)
json_flag = $(if $(filter yes,$(json)),--json)

help: ## this list
	@awk -F ':.*## ' '/^##@/ { printf "%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  families: $(FAMILIES)"

##@ Data scientist

demo: .venv/with-serve+digits ## everything on embedded data, in a copy (.demo/): train, promote, serve, predict
	@atelier demo

train: .venv/with-$(if $(filter all,$(family)),$(ALL_EXTRAS),serve+$(family))$(cluster_extra) ## family=digits, or all [on=ray cpus=2 gpus=1 nodes=2]: ingest, train all candidates, evaluate, promote; on=ray: the candidates side by side on a cluster; nodes: each on so many at once
	@atelier train $(family) $(if $(on),--on '$(on)') $(if $(cpus),--cpus $(cpus)) $(if $(gpus),--gpus $(gpus)) $(if $(nodes),--nodes $(nodes))

cluster-up: .venv/with-$(ALL_EXTRAS)+cluster ## [nodes=3 cpus=1]: a cluster of Ray on the loopback address, for on=ray, until Ctrl-C
	@atelier cluster-up --nodes $(or $(nodes),3) $(if $(cpus),--cpus $(cpus))

promote: .venv/with-serve+$(family) ## family=digits: decide again on the evaluated candidates
	@atelier promote $(family)

experiment: .venv/with-serve+$(family) ## family=digits set='digits-adam:fit.epochs=4 seed=2' [name=short]: all stages with other settings, in a folder of their own: compared, never promoted
	@atelier experiment $(family) $(foreach setting,$(call require,set,$(EXPERIMENT_EXAMPLE)),--set '$(setting)') $(if $(name),--name '$(name)')

sweep: .venv/with-serve+$(family)+sweeps$(cluster_extra) ## family=digits [name=augment trials=40 workers=2 on=ray join=yes]: search the settings of a candidate; the same command goes on where it stopped
	@atelier sweep $(family) $(if $(name),--name '$(name)') $(if $(trials),--trials '$(trials)') $(if $(workers),--workers '$(workers)') $(if $(on),--on '$(on)') $(if $(filter yes,$(join)),--join)

sweep-show: .venv/with-serve+$(family)+sweeps ## family=digits [name=augment]: its trials, which settings mattered, size against metric; also one HTML page
	@atelier sweep-show $(family) $(if $(name),--name '$(name)')

sweep-adopt: .venv/with-serve+$(family)+sweeps ## family=digits [name=augment trial=17]: the best trial, or this one, as a candidate in conf/candidate/ and dvc.yaml
	@atelier sweep-adopt $(family) $(if $(name),--name '$(name)') $(if $(trial),--trial '$(trial)')

experiments: .venv/with-serve ## the settings and headline figures in which the experiments on this commit differ
	@atelier experiments

plots: .venv/with-serve+plots ## learning curves, confusions and classes of all candidates, as a page that needs no network
	@atelier plots

notebooks: .venv/with-serve+notebooks ## [family=digits]: looks at the data that is here, as pages in .notebooks/
	@atelier notebooks $(family)

ui: .venv/with-serve ## [port=5000]: MLflow on the loopback address: runs, versions, aliases
	@atelier ui --host $(host) --port $(or $(port),5000)

lineage: .venv/with-serve ## of=digits@champion [files=yes json=yes]: from a version, alias, run, prediction, answer or folder back to the source files
	@atelier lineage '$(call require,of,make lineage of=digits@champion)' $(if $(filter yes,$(files)),--files) $(json_flag)

reproduce: .venv/with-serve$(addprefix +,$(filter $(FAMILIES),$(firstword $(subst @, ,$(of))))) ## of=digits@champion: train a version again from manifest and record; exit 0 where the digests agree, 3 where they differ
	@atelier reproduce '$(call require,of,make reproduce of=digits@champion)'

accept: .venv/with-$(if $(filter all,$(candidate)),$(ALL_EXTRAS),serve$(addprefix +,$(filter $(FAMILIES),$(firstword $(subst -, ,$(candidate)))))) ## candidate=digits-adam, or all: prove by a few steps that changed code trains the same to the bit; then nothing is stale
	@atelier accept '$(call require,candidate,make accept candidate=digits-adam)'

new-family: .venv/with-serve+dev ## name=leaves like=objects: a new family as a copy of another one, and what to change in it
	@atelier new-family --name '$(call require,name,$(NEW_EXAMPLE))' --like '$(call require,like,$(NEW_EXAMPLE))'

store-put: .venv/with-serve+mongo ## dataset=letters from=letters.tar, or cfg=my.cfg, or weights=my.weights: into the image store at MONGO_URL
	@atelier store-put $(call selected,make store-put dataset=letters from=letters.tar) \
	  $(if $(dataset),--from '$(call require,from,make store-put dataset=$(dataset) from=$(dataset).tar)')

store-get: .venv/with-serve+mongo ## dataset=letters to=folder, or cfg=my.cfg to=file, or weights=my.weights to=file: from the image store, byte for byte
	@atelier store-get $(call selected,make store-get dataset=letters to=letters) --to '$(call require,to,make store-get dataset=letters to=letters)'

darknet-export: .venv/with-serve+signatures ## candidate=signatures-all to=folder: cfg, lists and images for training with Darknet
	@atelier darknet-export '$(call require,candidate,make darknet-export candidate=signatures-all to=$(to))' \
	  --to '$(call require,to,make darknet-export candidate=signatures-all to=darknet)'

darknet-import: .venv/with-serve+signatures ## candidate=signatures-all cfg=network.cfg weights=network_best.weights: the network that Darknet trained, as a candidate
	@atelier darknet-import '$(call require,candidate,$(IMPORT_EXAMPLE))' --cfg '$(call require,cfg,$(IMPORT_EXAMPLE))' --weights '$(call require,weights,$(IMPORT_EXAMPLE))'

##@ Operator

up: .venv/with-serve ## [port=8080]: all released products, and the portal in front of them, on the loopback address; one Ctrl-C ends all
	@atelier up --port $(or $(port),8080)

portal: .venv/with-serve ## [host=127.0.0.1 port=8080]: the portal alone; PORTAL_SERVICES names where the products are
	@atelier portal --host $(host) --port $(or $(port),8080)

serve: .venv/with-serve ## family=digits [host=127.0.0.1 port=3000 workers=1 jobs=1]: the champion over HTTP; `jobs` (or JOBS_WORKERS) workers beside it
	@atelier serve $(family) --host $(host) --port $(or $(port),3000) --workers $(or $(workers),1) $(if $(jobs),--jobs $(jobs))

worker: .venv/with-serve ## family=ocr: one more worker for its jobs, also on another machine with the service's JOBS_URL (and BROKER_URL)
	@atelier worker $(family)

predict: .venv/with-serve ## family=digits image=my_digit.png: one answer, without a server
	@atelier predict $(family) --image '$(call require,image,make predict family=$(family) image=my_image.png)'

batch: .venv/with-serve$(cluster_extra) ## family=signatures from=archive.tar to=answers [processes=2 on=ray]: the champion on a folder, tar, Parquet file or list of paths: a row each, as Parquet; the same command goes on after a kill
	@atelier batch $(family) --from '$(call require,from,make batch family=$(family) from=archive.tar to=answers)' \
	  --to '$(call require,to,make batch family=$(family) from=archive.tar to=answers)' $(if $(processes),--processes $(processes)) $(if $(on),--on '$(on)')

bento: .venv/with-serve+bento ## family=digits: the champion and its endpoint as a bento, with a linted Dockerfile
	@atelier bento $(family)

release: .venv/with-serve ## family=digits: the champion's served files to released/, for git
	@atelier release $(family)

challenge: .venv/with-serve ## family=digits candidate=digits-adam [share=0.1], or candidate=none: a challenger that answers beside the champion, unseen, to be compared
	@atelier challenge $(family) $(if $(share),--share '$(share)') \
	  --candidate '$(call require,candidate,make challenge family=$(family) candidate=$(family)-name share=0.1)'

rollback: .venv/with-serve ## family=digits [to=1 why="it takes 7 for 1"]: an earlier version becomes the champion again
	@atelier rollback $(family) $(if $(to),--to $(to)) $(if $(why),--why "$$why")

history: .venv/with-serve ## family=digits [at=2026-11-01 or at=2026-11-01T12:00, json=yes]: every decision, or what served then, and why
	@atelier history $(family) $(if $(at),--at '$(at)') $(json_flag)

gravures-add: .venv/with-serve ## name=star image=star.png: add an engraving from one image, without training; services find it at once
	@atelier gravures-add --name '$(call require,name,make gravures-add name=star image=star.png)' \
	  --image '$(call require,image,make gravures-add name=star image=star.png)'

gravures-remove: .venv/with-serve ## name=star: remove an added engraving
	@atelier gravures-remove --name '$(call require,name,make gravures-remove name=star)'

##@ Administrator

user-add: .venv/with-serve ## name=ada [administrator=yes]: add a user; asks for a password, or reads it from standard input
	@atelier user-add '$(call require,name,make user-add name=ada)' $(if $(filter yes,$(administrator)),--administrator)

user-list: .venv/with-serve ## [json=yes]: the users, at USERS_URL or in .store/users.db
	@atelier user-list $(json_flag)

user-password: .venv/with-serve ## name=ada: set another password; ends the user's sessions
	@atelier user-password '$(call require,name,make user-password name=ada)'

user-role: .venv/with-serve ## name=ada role='data scientist': operator, data scientist or administrator; ends the user's sessions
	@atelier user-role '$(call require,name,make user-role name=ada role=operator)' '$(call require,role,make user-role name=$(name) role=operator)'

user-disable: .venv/with-serve ## name=ada: block a user until `make user-enable name=ada`; ends the user's sessions
	@atelier user-disable '$(call require,name,make user-disable name=ada)'

user-enable: .venv/with-serve ## name=ada: unblock a user
	@atelier user-enable '$(call require,name,make user-enable name=ada)'

user-remove: .venv/with-serve ## name=ada: remove a user; ends the user's sessions
	@atelier user-remove '$(call require,name,make user-remove name=ada)'

verify: .venv/with-serve ## [family=digits, or forget=all; json=yes]: every file with a recorded checksum against it: what is broken and its repair, what is not here, what is not covered
	@atelier verify $(if $(family),'$(family)') $(foreach id,$(forget),--forget '$(id)') $(json_flag)

keys: .venv/with-serve ## [to=.store/keys]: a key pair for signing models, for MODEL_SIGNING_KEY and MODEL_VERIFYING_KEY
	@atelier keys $(if $(to),--to '$(to)')

sign: .venv/with-serve ## family=digits: sign every version on this machine with MODEL_SIGNING_KEY, in registry/signatures/ and beside the model
	@atelier sign $(family)

reconcile: .venv/with-serve ## [family=digits]: MLflow, model store and pointers follow the ledgers
	@atelier reconcile $(family)

merge: .venv/with-serve ## [family=digits from=branch]: the decisions of two branches in one ledger, renumbered; ends a conflict that git left
	@atelier merge $(family) $(if $(from),--from '$(from)')

restore-ledger: .venv/with-serve ## family=digits: the last lines of a ledger that were lost, from the pointers or .store/lost
	@atelier restore-ledger $(family)

rebuild: .venv/with-serve ## [remote=store]: after `dvc pull`, restore runs, versions, aliases and pointers from the ledgers; nothing is trained
	@atelier rebuild $(if $(remote),--remote '$(remote)')

push: .venv/with-serve ## [remote=store]: send what dvc.lock and the ledgers name, also of older versions, to a DVC remote
	@atelier push $(if $(remote),--remote '$(remote)')

gc: .venv/with-serve ## [remote=store projects="../one ../two"]: remove from DVC's cache, and from the remote, what no dvc.lock and no ledger of any branch names
	@atelier gc $(if $(remote),--remote '$(remote)') $(foreach folder,$(projects),--projects '$(folder)')

##@ Developer

test: .venv/with-serve+digits+dev ## the quick tests, in minutes; what they leave out is named at the end
	@atelier test

test-slow: .venv/with-$(ALL_EXTRAS)+slow ## the tests that need all frameworks, browsers and external servers
	@atelier test-slow

test-all: .venv/with-$(ALL_EXTRAS)+slow ## [shard=2/4]: the quick and the slow tests, or a part of them for one of several machines
	@atelier test-all $(if $(shard),--shard $(shard))

test-system: .venv/with-$(ALL_EXTRAS)+slow ## the heaviest tests, such as a family made from another one, trained and served
	@atelier test-system

test-times: .venv/with-$(ALL_EXTRAS)+slow ## test-all, with the seconds of each file in reports/tests.json
	@atelier test-times

fuzz: .venv/with-$(ALL_EXTRAS)+slow ## hostile input: the long fuzz tests
	@atelier fuzz

lint: .venv/with-$(ALL_EXTRAS)+slow ## style and types
	@atelier lint

docs: .venv/with-serve+docs ## [serve=yes port=8000]: the documentation as a site in .docs/site/, strict; shown on the loopback address
	@atelier docs $(if $(filter yes,$(serve)),--serve $(host):$(or $(port),8000))

lock: .venv/with-$(ALL_EXTRAS)+dev ## renew requirements.lock from pyproject.toml
	@atelier lock

bench: .venv/with-$(ALL_EXTRAS)+bench ## [name=http]: Atelier against its peers, to reports/benchmarks.json (needs wrk)
	@atelier bench $(name)

load: .venv/with-serve+bench ## family=digits [users=100 seconds=60]: load test of a service on the loopback address
	@atelier load $(family) --users $(or $(users),100) --seconds $(or $(seconds),60)

# From uv's cache where it has all: the same, as the lock names every version, and without a network.
installed = install() { "$(or $(UV),.uv/bin/uv)" pip install -q --python .venv/bin/python "$$@" $(1); }; install --offline 2>/dev/null || install

writable = test -w . || { echo "$$(id -un) may not write $(CURDIR), where .venv goes. Clone the repository into a folder of your own." >&2; exit 1; }

.uv/bin/uv:
	@$(writable)
	@$(PYTHON) -m venv .uv && .uv/bin/pip install -q --disable-pip-version-check uv

.venv/with-%: pyproject.toml requirements.lock | $(if $(UV),,.uv/bin/uv)
	@$(writable)
	@echo "Setting up .venv ($(subst +,$(strip ,) ,$*)) ..."
	@"$(or $(UV),.uv/bin/uv)" venv -q --allow-existing .venv
	@$(call installed,--constraint requirements.lock -r pyproject.toml $(addprefix --extra ,$(subst +, ,$*)))
	@$(call installed,--no-deps -e .)
	@touch $@
