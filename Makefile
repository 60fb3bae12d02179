# Shorthands; .ci/run is what counts.
.PHONY: build test check full demo

build:
	CGO_ENABLED=0 go build -trimpath -o zetagrid ./cmd/zetagrid

test:
	go test ./...

check:
	bash .ci/run

full:
	bash .ci/full

demo:
	go run ./cmd/zetagrid demo
