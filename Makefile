# make demo: the shortest way to see it run. make test: everything that CI checks.
SWIFT ?= swift
# More arguments, for example: make demo ARGS='--duration 120 --seed 7'
ARGS ?=
release = .build/release

.PHONY: demo test integration build bench format lint install help

help:
	@echo 'make demo    build and run the pipeline over a simulated fleet (ARGS=... for options)'
	@echo 'make test    run all tests; .ci/tansu make test runs those over a broker on a second one too'
	@echo 'make build   build all programs, optimised'
	@echo 'make bench   measure speed and memory'
	@echo 'make lint    check format, files of docker/ and rules of the repository'
	@echo 'make format  bring the sources into format'

install:
	@.ci/install

build: install
	$(SWIFT) build --configuration release

demo: build
	$(release)/twinscale demo $(ARGS)

bench: build
	$(release)/twinscale bench $(ARGS)

# The integration tests start many processes and have the machine to themselves.
test: install
	$(SWIFT) test --skip '$(broker_tests)' $(ARGS)

# The shell and the whole pipeline over real brokers, workers killed at random: minutes, on a quiet machine.
broker_tests = KafkaTests|RuntimeTests|IntegrationTests

integration: install
	$(SWIFT) test --no-parallel --filter '$(broker_tests)' $(ARGS)

format:
	$(SWIFT) format format --in-place --parallel --recursive Package.swift Sources Tests

lint: install
	$(SWIFT) format lint --parallel --recursive Package.swift Sources Tests
	.ci/check-docker
	$(SWIFT) test --filter TidyTests
