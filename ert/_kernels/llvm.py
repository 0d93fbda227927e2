"""LLVM vectors, for the loops that the compiler does not vectorize by itself.

A vector is one value to LLVM, which splits it into whatever vectors the processor has. Results are the same
everywhere, to the last bit: only steps guarded by :func:`processor_has` use instructions of some processors,
and they have a portable form for all others.
"""

import platform
from collections.abc import Callable
from functools import cache
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

import ert._kernels.cache  # noqa: F401 - before numba makes a cache for each kernel
from ert._kernels.start.choice import KERNELS_VARIABLE, SettingError, setting

BIT, INT8, INT16, INT32, INT64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
FLOAT = ir.FloatType()


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a kernel that allocates no array.

    numba counts references to arrays with atomic operations; for each array passed from kernel to kernel that
    takes as long as a tree. Where no array is allocated, no reference needs to be counted.
    """
    options: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": False}
    return numba.njit(**options)(function)


# What kernels have code of their own for, by names of LLVM.
WIDE_FEATURES = {"avx512": ("avx512bw", "avx512vbmi"), "avx2": ("avx2",), "neon": ("neon",), "portable": ()}
# Beginnings of the names of features that use wider vectors than these.
_AVX512 = "avx512", "evex"
_AVX2 = "avx2", "avxvnni", "avxifma", "avxneconvert", "vaes", "vpclmul", "sha512", "sm3", "sm4"
# What processors have that NUMBA_CPU_NAME may name, of what kernels ask for.
_NAMED = {"x86-64-v3": ("avx2",), "x86-64-v4": ("avx2", "avx512bw")}
_WIDER = {"avx512": (), "avx2": _AVX512, "neon": (), "portable": _AVX512 + _AVX2}


def select_kernels() -> None:
    """Do what the environment variable ERT_KERNELS asks for, before numba has compiled anything.

    Raises
    ------
    SettingError
        When the value is unknown, or this processor or numba cannot do it.
    """
    wanted = setting(KERNELS_VARIABLE)
    if wanted == "auto":
        return
    if not all(map(processor_has, WIDE_FEATURES[wanted])):
        raise SettingError(f"{KERNELS_VARIABLE}={wanted}: this processor lacks {' or '.join(WIDE_FEATURES[wanted])}")
    wider = _WIDER[wanted]
    if any(name.startswith(wider) for name in _features()):
        from llvmlite import binding
        from numba.core import config, registry

        features = binding.get_host_cpu_features()
        for name in features:
            features[name] = features[name] and not name.startswith(wider)
        settings: Any = config
        settings.CPU_FEATURES = features.flatten()
        _features.cache_clear()
        # numba keeps the code of different features apart in its cache, but a process has one set.
        compiled = registry.cpu_target.target_context.codegen().magic_tuple()[2].split(",")
        if any(name[1:].startswith(wider) for name in compiled if name.startswith("+")):
            raise SettingError(f"{KERNELS_VARIABLE}={wanted}: import ert before numba compiles other functions")


@cache
def _features() -> frozenset[str]:
    """Return what kernels are compiled for, by names of LLVM."""
    from llvmlite import binding
    from numba.core import config

    if platform.machine().lower() in ("aarch64", "arm64"):
        # LLVM cannot compile for them without it.
        return frozenset() if setting(KERNELS_VARIABLE) == "portable" else frozenset(["neon"])

    settings: Any = config
    # Settings to compile for another processor, or without wide vectors.
    if not settings.ENABLE_AVX:
        return frozenset()
    if settings.CPU_NAME:
        absent = {name[1:] for name in (settings.CPU_FEATURES or "").split(",") if name.startswith("-")}
        return frozenset(_NAMED.get(settings.CPU_NAME, ())) - absent
    if settings.CPU_FEATURES is not None:
        return frozenset(name[1:] for name in settings.CPU_FEATURES.split(",") if name.startswith("+"))
    return frozenset(name for name, there in binding.get_host_cpu_features().items() if there)


def processor_has(feature: str) -> bool:
    """Return whether kernels are compiled for a processor with a feature, given by its LLVM name."""
    return feature in _features()


def kernel_level() -> str:
    """Return the name of the widest vectors that kernels have code of their own for: avx512, avx2, neon or portable."""
    return next(name for name, features in WIDE_FEATURES.items() if all(map(processor_has, features)))


def vector(kind: Any, lanes: int) -> Any:
    """Return the vector type of n lanes of a type."""
    return ir.VectorType(kind, lanes)


def constant(kind: Any, number: float | list[int]) -> Any:
    """Return a vector of constants: one number in all lanes, or a list of numbers."""
    return ir.Constant(kind, number if isinstance(number, list) else [number] * kind.count)


def data(context: Any, builder: Any, signature: Any, args: Any, i: int) -> Any:
    """Return the pointer to the first element of the array that is argument `i`."""
    if signature.args[i].layout != "C":
        raise TypeError(f"argument {i}: {signature.args[i]}, expected a contiguous array")
    return context.make_array(signature.args[i])(context, builder, args[i]).data


def length(context: Any, builder: Any, signature: Any, args: Any, i: int, axis: int | None = None) -> Any:
    """Return the length of the array that is argument `i`: along an axis, or in total."""
    array = context.make_array(signature.args[i])(context, builder, args[i])
    return array.nitems if axis is None else builder.extract_value(array.shape, axis)


def load(builder: Any, array: Any, place: Any, kind: Any) -> Any:
    """Load a vector, or a number of another type, from element `place` of an array on."""
    return builder.load(_at(builder, array, place, kind), align=1)


def store(builder: Any, value: Any, array: Any, place: Any) -> None:
    """Store a vector from element `place` of an array on."""
    builder.store(value, _at(builder, array, place, value.type), align=1)


def _at(builder: Any, array: Any, place: Any, kind: Any) -> Any:
    return builder.bitcast(builder.gep(array, [place]), kind.as_pointer())


def splat(builder: Any, number: Any, kind: Any) -> Any:
    """Return a vector with the same number in all lanes."""
    single = builder.insert_element(ir.Constant(kind, ir.Undefined), number, INT32(0))
    return chosen(builder, single, [0] * kind.count)


def chosen(builder: Any, values: Any, lanes: list[int]) -> Any:
    """Return a vector of some lanes of another."""
    return builder.shuffle_vector(
        values, ir.Constant(values.type, ir.Undefined), constant(vector(INT32, len(lanes)), lanes)
    )


def variable(builder: Any, value: Any) -> Any:
    """Allocate a stack variable for a value that changes in a loop."""
    return cgutils.alloca_once_value(builder, value)


def loop(builder: Any, stop: Any, step: int = 1) -> Any:
    """Loop from 0 to `stop`: a context that yields the counter and a function that ends the loop."""
    return cgutils.for_range_slice(builder, INT64(0), stop, INT64(step), INT64)


def call(builder: Any, name: str, result: Any, *values: Any) -> Any:
    """Call an LLVM intrinsic."""
    kind = ir.FunctionType(result, [value.type for value in values])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, values)


def multiply_pairs(builder: Any, a: Any, b: Any) -> Any:
    """Multiply vectors of 16 or 32 numbers of 16 bits, and add the two products of each pair, in 32 bits."""
    whole = vector(INT32, a.type.count // 2)
    if processor_has("avx512bw") and whole.count == 16:
        return call(builder, "llvm.x86.avx512.pmaddw.d.512", whole, a, b)
    if processor_has("avx2") and whole.count == 8:
        return call(builder, "llvm.x86.avx2.pmadd.wd", whole, a, b)
    if processor_has("avx2"):
        halves = list(range(whole.count)), list(range(whole.count, 2 * whole.count))
        return joined(
            builder, *(multiply_pairs(builder, *(chosen(builder, x, half) for x in (a, b))) for half in halves)
        )
    lanes = [list(range(k, 2 * whole.count, 2)) for k in (0, 1)]
    products = [builder.mul(*(builder.sext(chosen(builder, each, of), whole) for each in (a, b))) for of in lanes]
    return builder.add(*products)


def joined(builder: Any, a: Any, b: Any) -> Any:
    """Return a vector of the lanes of two."""
    lanes = list(range(2 * a.type.count))
    return builder.shuffle_vector(a, b, constant(vector(INT32, len(lanes)), lanes))


def look_up(builder: Any, low: Any, numbers: Any, high: Any) -> Any:
    """Look up 64 indices in a table of 128 bytes, two vectors: AVX-512 VBMI only."""
    return call(builder, "llvm.x86.avx512.vpermi2var.qi.512", low.type, low, numbers, high)


def look_up_in_16(builder: Any, table: Any, numbers: Any) -> Any:
    """Look up 32 indices in a table of 16 bytes, given twice; 0 for those that are negative: AVX2 only."""
    return call(builder, "llvm.x86.avx2.pshuf.b", numbers.type, table, numbers)


def look_up_in_64(builder: Any, tables: list[Any], numbers: Any) -> Any:
    """Look up 16 indices in a table of 64 bytes, four vectors; 0 for those that are larger: NEON only."""
    return call(builder, "llvm.aarch64.neon.tbl4.v16i8", numbers.type, *tables, numbers)


def prefetch(builder: Any, place: Any) -> None:
    """Prefetch a cache line."""
    line = builder.bitcast(place, INT8.as_pointer())
    # For reading, into all levels of the data cache.
    call(builder, "llvm.prefetch.p0i8", ir.VoidType(), line, INT32(0), INT32(3), INT32(1))


def _typed_fetch(context: Any, array: Any, first: Any, n_bytes: Any) -> Any:
    """Prefetch a part of an array of bytes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = data(context, builder, signature, args, 0)
        place = builder.gep(memory, [args[1]])
        with loop(builder, args[2], 64) as (i, _):
            prefetch(builder, builder.gep(place, [i]))
        return context.get_dummy_value()

    return types.void(array, types.uint64, types.uint64), generate


fetch: Any = intrinsic(_typed_fetch)


select_kernels()
