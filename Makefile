# make demo: the shortest way to see it run. make test: all tests.
SWIFT ?= swift
# More arguments, for example: make demo ARGS='--duration 120 --seed 7'
ARGS ?=
release = .build/release

.PHONY: demo test browser tansu-test build bench format lint install test-install help

help:
	@echo 'make demo    build and run the pipeline over a simulated fleet (ARGS=... for options)'
	@echo 'make test    run all tests: quick ones, simulations, the pipeline over a broker with workers killed'
	@echo 'make tansu-test   run the tests over a broker on a second, independent one'
	@echo 'make browser look at the dashboard with a browser, and take pictures of every page'
	@echo 'make build   build all programs, optimised'
	@echo 'make bench   measure speed and memory'
	@echo 'make lint    check format, files of docker/ and rules of the repository'
	@echo 'make format  bring the sources into format'

install:
	@.ci/install

# What tests need beside that: other implementations to compare with.
test-install:
	@.ci/install protobuf-compiler python3-jsonschema

build: install
	$(SWIFT) build --configuration release

demo: build
	$(release)/twinscale demo $(ARGS)

bench: build
	$(release)/twinscale bench $(ARGS)

browser: build
	BUILD=$(release) .ci/browser

# One group after the other: the simulations keep every core busy, and the tests over a broker wait for real time, so
# neither would be fair to the others beside it.
broker_tests = KafkaTests|RuntimeTests|IntegrationTests

test: test-install
	$(SWIFT) build --build-tests
	$(SWIFT) test --skip-build --skip 'SimulationTests|$(broker_tests)' $(ARGS)
	$(SWIFT) test --skip-build --filter SimulationTests $(ARGS)
	$(SWIFT) test --skip-build --no-parallel --filter '$(broker_tests)' $(ARGS)

# The wrapper, the shell and the whole pipeline over the second broker, with the newer client library that it needs.
tansu-test: test-install
	$(SWIFT) build --build-tests
	.ci/tansu $(SWIFT) test --skip-build --no-parallel --filter '$(tansu_tests)' $(ARGS)

tansu_tests = OutsideBrokerTests|PipelineOverBrokerTests|ReplayTests|UpgradeTests|BadInputTests

format:
	$(SWIFT) format format --in-place --parallel --recursive Package.swift Sources Tests

lint: install
	$(SWIFT) format lint --strict --parallel --recursive Package.swift Sources Tests
	.ci/check-docker
	$(SWIFT) test --filter TidyTests
