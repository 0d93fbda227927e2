"""What kernels are compiled on, how they are called, and Ctrl-C held off: it would leave numba in pieces."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import NativeValue, intrinsic, models, register_model, typeof_impl, unbox

from ert._kernels.llvm import INT64, data, load

__all__ = [
    "BoundArgs",
    "entry_point",
    "unpack",
]


def entry_point(kernel: Any, *args: Any) -> Callable[..., Any]:
    """Call a kernel once, and return what is quicker to call again with arguments of the same types.

    The types are not looked at any more, which takes as long as a tenth of the kernel: what is called with an
    array of another type or another number of axes may read and write anywhere.
    """
    kernel(*args)
    overload = kernel.overloads.get(tuple(numba.typeof(arg) for arg in args))
    found: Callable[..., Any] = getattr(overload, "entry_point", None) or kernel
    return found


class BoundArgs:
    """Arguments for kernels that take this and its `numbers`, and call :func:`unpack`.

    Parameters
    ----------
    arguments : tuple
        Contiguous arrays, whole numbers and floats. The arrays are kept.
    """

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        self.arguments = arguments
        numbers: list[int] = []
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                if not argument.flags.c_contiguous:
                    raise ValueError("expected arrays that lie in one piece")
                numbers += [argument.ctypes.data, *argument.shape]
            else:
                numbers.append(int(np.asarray(argument, _wide(argument)).view(np.int64)))
        self.numbers = np.array(numbers, np.int64)


def _wide(number: object) -> type[np.generic]:
    return np.float64 if isinstance(number, (float, np.floating)) else np.int64


class _BoundArgsType(types.Type):
    """What numba knows of :class:`BoundArgs`: the types of the arguments, and nothing when it runs."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        self.arguments = arguments
        super().__init__(f"Held({', '.join(map(str, arguments))})")


register_model(_BoundArgsType)(models.OpaqueModel)


@typeof_impl.register(BoundArgs)
def _typeof(bound: BoundArgs, context: Any) -> Any:
    return _BoundArgsType(tuple(numba.typeof(argument) for argument in bound.arguments))


@unbox(_BoundArgsType)
def _unbox(kind: Any, bound: Any, context: Any) -> Any:
    return NativeValue(context.context.get_dummy_value())


def _typed_unpack(context: Any, bound: Any, numbers: Any) -> Any:
    """Return the arguments as a tuple. Nobody counts who holds the arrays: `BoundArgs` does while it lives."""
    from numba.np import arrayobj

    result = types.Tuple(bound.arguments)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = data(context, builder, signature, args, 1)
        place, values = 0, []
        for kind in bound.arguments:
            first = load(builder, source, INT64(place), INT64)
            place += 1
            if not isinstance(kind, types.Array):
                wide = types.float64 if isinstance(kind, types.Float) else types.int64
                number = builder.bitcast(first, context.get_value_type(wide))
                values.append(context.cast(builder, number, wide, kind))
                continue
            shape = [load(builder, source, INT64(place + i), INT64) for i in range(kind.ndim)]
            place += kind.ndim
            itemsize = INT64(context.get_abi_sizeof(context.get_data_type(kind.dtype)))
            steps = [itemsize]
            for length in shape[:0:-1]:
                steps.insert(0, builder.mul(steps[0], length))
            array = arrayobj.make_array(kind)(context, builder)
            arrayobj.populate_array(
                array,
                data=builder.inttoptr(first, context.get_data_type(kind.dtype).as_pointer()),
                shape=cgutils.pack_array(builder, shape),
                strides=cgutils.pack_array(builder, steps),
                itemsize=itemsize,
                meminfo=None,
            )
            values.append(array._getvalue())
        return context.make_tuple(builder, result, values)

    return result(bound, numbers), generate


unpack: Any = intrinsic(_typed_unpack)
