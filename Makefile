# Daily work in one word each; the presets in CMakePresets.json do it.
# JOBS limits parallel work: `make test JOBS=1`.
JOBS ?= $(shell nproc)

# ThreadSanitizer of g++ 12 cannot bear the address randomisation of newer kernels. Where it may not
# be switched off (some containers) it is tried as it is.
NO_ASLR := $(shell setarch -R true 2>/dev/null && echo setarch -R)

CXX_FILES = $(shell git ls-files --cached --others --exclude-standard '*.h' '*.hpp' '*.c' '*.cpp')

.PHONY: build debug test asan tsan soak interop bench format check-format tidy clean

build: build/release/build.ninja
	cmake --build --preset release --parallel $(JOBS)

debug: build/debug/build.ninja
	cmake --build --preset debug --parallel $(JOBS)

# Everything but the soak tests.
test: build
	ctest --preset release --parallel $(JOBS)

# The quick tests under the sanitizers.
asan: build/asan/build.ninja
	cmake --build --preset asan --parallel $(JOBS)
	ctest --preset asan --parallel $(JOBS)

tsan: build/tsan/build.ninja
	cmake --build --preset tsan --parallel $(JOBS)
	$(NO_ASLR) ctest --preset tsan --parallel $(JOBS)

soak: build
	ctest --preset soak

# The packages that people use, from npm, against the built program.
interop: build
	tests/interop/run.sh

# Micro benchmarks, then the figures of the whole beside their yardsticks (some minutes).
bench:
	cmake --preset release -DWALFERRY_BENCH=ON
	cmake --build --preset release --parallel $(JOBS)
	for program in build/release/bench/*_bench; do "$$program" || exit 1; done
	bench/figures.sh

format:
	clang-format-19 -i $(CXX_FILES)

check-format:
	clang-format-19 --dry-run --Werror $(CXX_FILES)

# The product only: tests trip over what GoogleTest's macros expand to. TIDY_CHECKS is added to what
# .clang-tidy says.
TIDY_CHECKS ?=
tidy: build
	run-clang-tidy-19 -quiet -checks='$(TIDY_CHECKS)' -p build/release -j $(JOBS) \
	  '$(CURDIR)/(wal|net|engine)/.*\.cpp$$'

clean:
	rm -rf build

build/%/build.ninja:
	cmake --preset $*
