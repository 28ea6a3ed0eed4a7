# A thin index of scripts/ and the presets; everything works without make.
.DEFAULT_GOAL := help
.PHONY: help reference test check bench format clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

reference:  ## predict all published reference runs and print the error against measurement
	@./scripts/reference

test:  ## build, and run all tests
	@./scripts/test

check:  ## all that must hold before a merge: format, warnings, headers, tests in both builds, clang-tidy
	@./scripts/check

bench:  ## build, and run the benchmarks
	@./scripts/bench

format:  ## rewrite all sources in the project's format
	@./scripts/setup checks
	@git ls-files -co --exclude-standard '*.h' '*.cpp' '*.cu' | xargs clang-format -i

clean:  ## remove build/
	rm -rf build
