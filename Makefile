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

# With GPUs; see docs/gpu.md. The program also starts where there is no driver.
.PHONY: cuda cuda-deps

cuda-deps:
	bash cuda/driver/deps.sh

cuda: cuda-deps
	. .cuda/env && go build -tags cuda -trimpath -o zetagrid ./cmd/zetagrid
