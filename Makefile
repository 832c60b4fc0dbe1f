# The short loop of a contributor. .ci/run is the gate: it calls the same commands, and installs what they need.
.PHONY: help test lint fuzz golden e2e bench ci quick release

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

test: ## all tests, as CI runs them; what needs Redis or Synapse is skipped where they are not
	go test -race ./...

quick: ## what needs neither root nor anything installed, in a few minutes: vet, and all tests but those of built programs
	go vet ./...
	go test $$(go list ./... | grep -v -e /internal/test/e2e -e /outbox/redis -e /rejected/redis)

lint: ## format, vet, lint
	.ci/lint

fuzz: ## each fuzz target for its share of FUZZ_TOTAL seconds
	.ci/fuzz

golden: ## write the goldens and the reference again: read the difference
	go test ./caddymodule -run TestCaddyfileAdapts -update
	go test ./caddymodule/sygnal ./caddymodule/internal/command ./providers/apns ./providers/fcm ./providers/unifiedpush ./providers/webpush -update
	go test ./internal/test/e2e -run TestWhatEachServiceGets -update
	go test ./internal/test/repository -run Reference -update

e2e: ## the tests of the built program alone
	go test -race -count=1 ./internal/test/e2e

bench: ## the cost of a push in each provider, five times
	go test -run '^$$' -bench Push -benchmem -count 5 ./providers/...

ci: ## the gate
	.ci/run

release: ## VERSION=v0.1.0: binaries, .deb, image, checksums into dist/, offline
	.ci/release $(VERSION)
