"""LLVM vectors, for the loops that the compiler does not vectorize by itself.

A vector is one value to LLVM, which splits it into whatever vectors the processor has. Results are the same
everywhere, to the last bit: only steps guarded by :func:`processor_has` use instructions of some processors,
and they have a portable form for all others.
"""

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

BIT, INT8, INT16, INT32, INT64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
FLOAT = ir.FloatType()


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a kernel that allocates no array.

    numba counts references to arrays with atomic operations; for each array passed from kernel to kernel that
    takes as long as a tree. Where no array is allocated, no reference needs to be counted.
    """
    options: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": False}
    return numba.njit(**options)(function)


# Which kernels are compiled: "auto", those for this processor; "avx512", the same, or an error where it has none of its
# own; "portable", those for processors without wide vectors, on any.
KERNELS_VARIABLE = "ERT_KERNELS"


def select_kernels() -> None:
    """Do what the environment variable ERT_KERNELS asks for, before numba has compiled anything.

    Raises
    ------
    ImportError
        When the value is unknown, or this processor or numba cannot do it.
    """
    wanted = os.environ.get(KERNELS_VARIABLE) or "auto"
    if wanted not in ("auto", "avx512", "portable"):
        raise ImportError(f"{KERNELS_VARIABLE}={wanted}: expected auto, avx512 or portable")
    if wanted == "avx512" and not all(map(processor_has, WIDE_FEATURES)):
        raise ImportError(f"{KERNELS_VARIABLE}=avx512: this processor lacks {' or '.join(WIDE_FEATURES)}")
    # Elsewhere all kernels are portable.
    if wanted == "portable" and any(map(processor_has, WIDE_FEATURES)):
        from llvmlite import binding
        from numba.core import config, registry

        features = binding.get_host_cpu_features()
        for name in features:
            features[name] = features[name] and not name.startswith(("avx512", "evex"))
        settings: Any = config
        settings.CPU_FEATURES = features.flatten()
        processor_has.cache_clear()
        # numba keeps the code of different features apart in its cache, but a process has one set.
        if "+avx512" in registry.cpu_target.target_context.codegen().magic_tuple()[2]:
            raise ImportError(f"{KERNELS_VARIABLE}=portable: import ert before numba compiles other functions")


# Features that kernels have code of their own for, by their LLVM names.
WIDE_FEATURES = "avx512bw", "avx512vbmi"


@cache
def processor_has(feature: str) -> bool:
    """Return whether kernels are compiled for a processor with a feature, given by its LLVM name."""
    from llvmlite import binding
    from numba.core import config

    settings: Any = config
    # Settings to compile for another processor, or without wide vectors.
    if settings.CPU_NAME or settings.CPU_FEATURES is not None or not settings.ENABLE_AVX:
        return False
    return bool(binding.get_host_cpu_features().get(feature, False))


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


def look_up(builder: Any, low: Any, numbers: Any, high: Any) -> Any:
    """Look up 64 indices in a table of 128 bytes, two vectors: AVX-512 VBMI only."""
    return call(builder, "llvm.x86.avx512.vpermi2var.qi.512", low.type, low, numbers, high)


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
