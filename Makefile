# The short loop for contributors. A change must pass .ci/run, which calls the same commands and installs what they need.
.PHONY: help test lint fuzz golden e2e bench ci quick release screenshots

help: ## list the targets
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

test: ## all tests, as CI runs them; tests that need Redis or Synapse are skipped if it is missing
	go test -race -timeout 30m ./...

quick: ## a few minutes, without root or other programs: vet, and all tests except those of built programs
	go vet ./...
	go test $$(go list ./... | grep -v -e /internal/test/e2e -e /outbox/redis -e /rejected/redis)

lint: ## format, vet, lint
	.ci/lint

fuzz: ## fuzz each target for its share of FUZZ_TOTAL seconds
	.ci/fuzz

golden: ## write the golden files and the reference from the code: read the diff
	go test ./caddymodule -run TestCaddyfileAdapts -update
	go test ./caddymodule/sygnal ./caddymodule/internal/command ./providers/apns ./providers/fcm ./providers/unifiedpush ./providers/webpush -update
	go test ./internal/test/e2e -run TestWhatEachServiceGets -update
	go test ./internal/test/repository -run Reference -update

screenshots: ## take the pictures of pages in docs/images, with a real Firefox
	CI_REQUIRE_BROWSERS=1 go test -count=1 ./internal/test/e2e -run TestPicturesOfThePagesAreInTheDocs -update

e2e: ## only the tests of the built program
	go test -race -count=1 -timeout 30m ./internal/test/e2e

bench: ## measure the cost of a push in each provider, five times
	go test -run '^$$' -bench Push -benchmem -count 5 ./providers/...

ci: ## everything that a change must pass
	.ci/run

release: ## with VERSION=v0.1.0: build binaries, .deb, image and checksums into dist/, offline
	.ci/release $(VERSION)
