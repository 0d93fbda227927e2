"""Arguments of a kernel that stay the same from call to call, bound once and passed as one pointer.

For each array that a kernel is called with, numba asks Python for half a dozen numbers; where other programs
have emptied the processor's caches, that takes a tenth of the time of a face for some twenty arrays. The
answers are written down here once, in one table of 64-bit numbers:

    array          address | length of each axis
    number         itself
    named tuple    its items one after another
"""

from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import NativeValue, intrinsic, models, register_model, typeof_impl, unbox

from ert._kernels.llvm import INT64, load

# Images and a box that kernels are compiled on.
DUMMY_IMAGE, DUMMY_COLOR_IMAGE = np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.uint8)
DUMMY_BOX = 0.0, 0.0, 9.0, 9.0


class BoundArgs:
    """A named tuple of arguments for kernels that call :func:`unpack`.

    Parameters
    ----------
    arguments : NamedTuple
        Contiguous arrays, integers, floats, and named tuples of these. The arrays are kept alive.
    """

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        self.arguments = arguments
        self.table = np.array(list(_numbers(arguments)), np.int64)
        self.address = self.table.ctypes.data
        # numba asks for it at every call that is not through an entry point.
        self.numba_type = _BoundArgsType(numba.typeof(arguments))


def _numbers(argument: Any) -> Iterator[int]:
    if isinstance(argument, tuple):
        for item in argument:
            yield from _numbers(item)
    elif isinstance(argument, np.ndarray):
        if not argument.flags.c_contiguous:
            raise ValueError("expected contiguous arrays")
        yield from (argument.ctypes.data, *argument.shape)
    else:
        wide = np.float64 if isinstance(argument, (float, np.floating)) else np.int64
        yield int(np.asarray(argument, wide).view(np.int64))


class _BoundArgsType(types.Type):
    """The numba type of :class:`BoundArgs`: a pointer to the table, and the types of what is in it."""

    def __init__(self, arguments: Any) -> None:
        self.arguments = arguments
        super().__init__(f"BoundArgs({arguments})")


register_model(_BoundArgsType)(models.OpaqueModel)


@typeof_impl.register(BoundArgs)
def _typeof(bound: BoundArgs, context: Any) -> Any:
    return bound.numba_type


@unbox(_BoundArgsType)
def _unbox(kind: Any, bound: Any, context: Any) -> Any:
    address = context.pyapi.object_getattr_string(bound, "address")
    pointer = context.pyapi.long_as_voidptr(address)
    context.pyapi.decref(address)
    return NativeValue(pointer)


def _array_at(context: Any, builder: Any, kind: Any, address: Any, shape: list[Any]) -> Any:
    """Return a contiguous array of a type at an address, which is not reference counted."""
    from numba.np import arrayobj

    itemsize = INT64(context.get_abi_sizeof(context.get_data_type(kind.dtype)))
    strides = [itemsize]
    for length in shape[:0:-1]:
        strides.insert(0, builder.mul(strides[0], length))
    array = arrayobj.make_array(kind)(context, builder)
    arrayobj.populate_array(
        array,
        data=builder.inttoptr(address, context.get_data_type(kind.dtype).as_pointer()),
        shape=cgutils.pack_array(builder, shape),
        strides=cgutils.pack_array(builder, strides),
        itemsize=itemsize,
        meminfo=None,
    )
    return array._getvalue()


def _pixels_at(n_axes: int) -> Any:
    """Return a function that makes a uint8 array of an address and the length of each axis."""

    def typed(context: Any, address: Any, shape: Any) -> Any:
        kind = types.Array(types.uint8, n_axes, "C")

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            lengths = [builder.extract_value(args[1], i) for i in range(n_axes)]
            return _array_at(context, builder, kind, args[0], lengths)

        return kind(types.int64, types.UniTuple(types.int64, n_axes)), generate

    return intrinsic(typed)


# Images whose addresses are in a table: tuples of arrays take seconds to compile.
gray_at: Any = _pixels_at(2)
color_at: Any = _pixels_at(3)


def _typed_unpack(context: Any, bound: Any) -> Any:
    """Return the named tuple. Its arrays are not reference counted: `BoundArgs` keeps them alive."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        table = builder.bitcast(args[0], INT64.as_pointer())
        places = iter(range(10_000))

        def read() -> Any:
            return load(builder, table, INT64(next(places)), INT64)

        def build(kind: Any) -> Any:
            if issubclass(type(kind), types.BaseTuple):
                return context.make_tuple(builder, kind, [build(item) for item in kind])
            first = read()
            if not isinstance(kind, types.Array):
                wide = types.float64 if isinstance(kind, types.Float) else types.int64
                number = builder.bitcast(first, context.get_value_type(wide))
                return context.cast(builder, number, wide, kind)
            return _array_at(context, builder, kind, first, [read() for _ in range(kind.ndim)])

        return build(bound.arguments)

    return bound.arguments(bound), generate


unpack: Any = intrinsic(_typed_unpack)


def entry_point(kernel: Any, *args: Any) -> Callable[..., Any]:
    """Call a kernel once, and return its compiled function for arguments of the same types.

    The compiled function does not look at the types again, which takes a tenth of the time of a face: called
    with an array of another type or another number of axes it may read and write anywhere.
    """
    kernel(*args)
    overload = kernel.overloads.get(tuple(numba.typeof(arg) for arg in args))
    found: Callable[..., Any] = getattr(overload, "entry_point", None) or kernel
    return found
