"""Points, rectangles, objects and their arrays: what each expression gives in dlib, it gives here."""

import copy
import pickle

import numpy as np
import pytest

from ert.compat import dlib as ours

P, D, R, DR = "point(1, 2)", "dpoint(1.5, 2.25)", "rectangle(1, 2, 10, 21)", "drectangle(1.5, 2.25, 10, 20.5)"
FACE = f"full_object_detection({R}, [{P}])"

# Evaluated in both modules: the type of the result and its text are the same.
SAME = f"""
{P} * 2
1.5 * {P}
{P} / 2
{P} / 0
{P} + {P}
{P} - point(3, 5)
{D} + {D}
{D} - {D}
{D} * 2
{D} / 3
{P}.normalize()
{D}.normalize()
{P} == (1, 2)
{P} != None
point(x=3, y=4)
point(True, 2)
point(np.int64(3), np.uint8(4))
point({D})
point(dpoint(2.5, -2.5))
point(dpoint(-0.5, 0.5))
point(np.array([1.6, 2.5]))
point(np.array([-1.6, -2.5], np.float32))
point(np.array([[1, 2]]))
dpoint({P})
dpoint(1, 2)
dpoint(np.array([1.5, 2]))
dpoint(np.array([1, 2]))
dpoint(1234567.891, 1e30 / 3)
{P}.x
{D}.x
length(point(3, 4))
length({D})
rectangle()
rectangle({DR})
rectangle(drectangle(-1.5, -2.5, 2.5, 3.5))
rectangle({R})
rectangle(rect={R})
{R} + point(30, -4)
{R} + rectangle(30, 40, 50, 60)
{R} == {DR}
{R} == 5
{R} != None
{R}.dcenter()
rectangle(-4, -7, 1, 2).dcenter()
{R}.contains({D})
{R}.contains(x=1, y=2)
{R}.contains(point={P})
{R}.contains(rectangle={R})
{R}.intersect(rectangle(5, 5, 50, 50))
drectangle()
drectangle({R})
drectangle({DR})
drectangle(1, 2, 3, 4)
{DR}.area()
{DR}.width()
{DR}.height()
{DR}.center()
{DR}.dcenter()
{DR}.tl_corner()
{DR}.br_corner()
{DR}.contains({P})
{DR}.contains({D})
{DR}.contains(3, 3)
{DR}.contains({DR})
{DR}.intersect(drectangle(50, 50, 60, 60))
{DR} == {DR}
drectangle(0, 0, -0.5, 5).is_empty()
drectangle(0, 0, -0.5, 5).width()
drectangle(0, 0, -0.5, 5).area()
rectangle().width()
center({R})
center({DR})
centered_rect({P}, 3, 4)
centered_rect({P}, 4, 3)
centered_rect({D}, 3, 4)
centered_rect({R}, 5, 7)
centered_rect({DR}, 5, 7)
centered_rect(rectangle(-8, -9, 3, 2), 4, 4)
centered_rect({P}, 0, 4)
centered_rects(points([{P}, {P}]), 3, 4)
grow_rect({R}, 2)
shrink_rect({R}, 2)
scale_rect({R}, 1.5)
scale_rect({R}, 0.3)
translate_rect({R}, {P})
translate_rect({R}, {D})
translate_rect({DR}, {P})
translate_rect({DR}, {D})
get_rect(np.zeros((5, 7), np.uint8))
get_rect(np.zeros((5, 7, 3), np.uint8))
polygon_area(dpoints([dpoint(0, 0), dpoint(4, 0), dpoint(4, 3)]))
polygon_area([dpoint(0, 0), dpoint(0, 3), dpoint(4, 3), dpoint(4, 0)])
points()
points(3)
points([{P}])
points(iter(({P},)))
points([{P}, point(3, 4)])[1]
points([{P}, point(3, 4)])[-1]
points([{P}, point(3, 4), point(5, 6)])[1:]
points([{P}]) == points([{P}])
points([{P}]) != points([point(0, 0)])
points([{P}]).count({P})
{P} in points([{P}])
bool(points())
len(points(4))
dpoints([{D}])
dpoints(2)
rectangles(2)
rectangles([{R}])
rectangles([{R}]) == rectangles([{R}])
{R} in rectangles([{R}])
full_object_detection({R}, [{P}]).rect
full_object_detection({R}, ({P},)).parts()
full_object_detection(rect={R}, parts=points([{P}, {P}])).num_parts
full_object_detection({R}, [{P}]).part(0)
full_object_detections([{FACE}]) == full_object_detections([{FACE}])
pickle.loads(pickle.dumps({P}))
pickle.loads(pickle.dumps({D}))
pickle.loads(pickle.dumps({R}))
pickle.loads(pickle.dumps({DR}))
pickle.loads(pickle.dumps(points([{P}])))
pickle.loads(pickle.dumps(rectangles([{R}])))
pickle.loads(pickle.dumps(full_object_detections([full_object_detection({R}, [{P}])])))[0].parts()
copy.deepcopy(full_object_detection({R}, [{P}])).parts()
copy.copy(points([{P}]))
len({{{P}, {P}}})
np.array(points([{P}])).shape
""".strip().splitlines()

# Evaluated in both modules: both refuse.
REFUSED = f"""
hash({R})
hash({DR})
hash(points())
hash(rectangles())
hash(full_object_detections())
{P} + {D}
{P} - (1, 2)
point(1.5, 2)
point(1.0, 2)
point(np.float64(1), 2)
point("1", 2)
point(2**70, 2)
point()
point(np.array([1, 2, 3]))
dpoint("1", 2)
rectangle(1.5, 2, 3, 4)
rectangle(1.0, 2, 3, 4)
rectangle(np.float64(1), 2, 3, 4)
rectangle(1, 2)
{R}.contains(1.5, 2)
{R}.contains({DR})
{DR} + {DR}
{R} + {DR}
points([{D}])
points([1])
points([{P}]).append({D})
points([{P}]).append((1, 2))
points([{P}]).extend([1])
points([{P}]).resize(-1)
points([{P}]).remove(point(3, 4))
points().pop()
points(5)[9]
rectangles([{DR}])
full_object_detection()
full_object_detection({DR}, [{P}])
full_object_detection({R}, [1])
full_object_detection({R}, [{D}])
full_object_detection({R}, [{P}]).part(1)
full_object_detection({R}, [{P}]).part(-1)
setattr({P}, "x", 3.5)
setattr({P}, "z", 3)
setattr({R}, "left", 3)
setattr(full_object_detection({R}, [{P}]), "rect", {R})
""".strip().splitlines()

# Statements, of which `out` is compared.
CHANGES = f"""
out = points([{P}]); out.resize(3)
out = points([{P}]); out.resize(0)
out = rectangles([{R}]); out.resize(2)
out = points([{P}]); out.append(point(5, 6)); out.extend([point(7, 8)]); out.extend(points(1))
out = points([{P}]); out.insert(0, point(8, 8))
out = points(3); out[0:2] = points([{P}, {P}])
out = points(3); out[1] = {P}; del out[0]
out = points([{P}]); out.clear()
out = points([{P}]).pop()
p = {P}; out = points([p]); p.x = 7
out = points([{P}]); q = out[0]; q.x = 7
f = full_object_detection({R}, [{P}]); f.parts()[0].x = 9; out = f.part(0)
f = full_object_detection({R}, [{P}]); f.part(0).x = 9; out = f.part(0)
out = {R}; out += point(100, 100)
out = {P}; out += {P}
out = {P}; out.x = 3
out = {D}; out.x = 3
f = full_object_detections([full_object_detection({R}, [{P}])]); f.resize(2); out = f[1].rect
A = type("A", (point,), {{}}); out = A(1, 2).x
""".strip().splitlines()


@pytest.fixture(scope="module")
def theirs():
    return pytest.importorskip("dlib")


# Not in dlib.
OURS = ("to_dlib", "from_dlib", "DlibError", "replace_dlib")


def names_of(module):
    names = {name: getattr(module, name) for name in ours.__all__ if name not in OURS}
    return names | {"np": np, "pickle": pickle, "copy": copy}


def described(value):
    return type(value).__name__, str(value).replace("-nan", "nan"), repr(value).replace("-nan", "nan")


@pytest.mark.parametrize("expression", SAME)
def test_expressions_give_what_they_give_in_dlib(theirs, expression):
    assert described(eval(expression, names_of(ours))) == described(eval(expression, names_of(theirs)))


@pytest.mark.parametrize("expression", REFUSED)
def test_what_dlib_refuses_is_refused(theirs, expression):
    # Its error where an item has the wrong type is a RuntimeError without a word that helps.
    with pytest.raises((TypeError, IndexError, ValueError, AttributeError, RuntimeError)):
        eval(expression, names_of(theirs))
    with pytest.raises((TypeError, IndexError, ValueError, AttributeError)):
        eval(expression, names_of(ours))


@pytest.mark.parametrize("statements", CHANGES)
def test_changes_are_those_of_dlib(theirs, statements):
    results = []
    for module in (ours, theirs):
        names = names_of(module)
        exec(statements, names)
        results.append(described(names["out"]))
    assert results[0] == results[1]


def test_rectangles_with_floats_are_those_of_dlib(theirs):
    rng = np.random.default_rng(1)

    def describe(module, a, b, xy, size):
        one, other, vector = module.drectangle(*a), module.drectangle(*b), module.dpoint(*xy)
        rect = module.rectangle(one)
        made = [
            *(one.tl_corner(), one.tr_corner(), one.bl_corner(), one.br_corner(), one.center(), one.dcenter()),
            *(one.intersect(other), one.contains(other), one.contains(vector), one.is_empty(), one == other),
            *(one.width(), one.height(), one.area(), rect, rect.dcenter(), module.center(one), module.center(rect)),
            *(module.translate_rect(one, vector), module.translate_rect(rect, vector), module.scale_rect(rect, xy[0])),
            *(module.centered_rect(each, *size) for each in (one, rect, vector)),
        ]
        return [str(each) for each in made]

    for _ in range(300):
        a, b, xy = ((rng.integers(-24, 28, n) / 4).tolist() for n in (4, 4, 2))
        size = rng.integers(0, 9, 2).tolist()
        assert describe(ours, a, b, xy, size) == describe(theirs, a, b, xy, size)


def test_what_is_hashable_is_so_in_dlib(theirs):
    made = f"{P} {D} {R} {DR} points() rectangles() full_object_detection({R},[{P}])".replace(", ", ",").split()
    for expression in made:
        hashable = [eval(expression, names_of(module)).__hash__ is not None for module in (ours, theirs)]
        assert hashable[0] == hashable[1], expression
    point = ours.point(1, 2)
    places = {point: "nose"}
    point.x = 5
    assert places[point] == "nose"
    assert ours.point(5, 2) not in places


def test_arrays_are_types():
    array = ours.points([ours.point(1, 2), ours.point(3, 4)])
    assert isinstance(array, ours.points)
    assert isinstance(array[:1], ours.points)
    assert isinstance(ours.full_object_detection(ours.rectangle(), array).parts(), ours.points)
    assert not isinstance(array, ours.rectangles)
    with pytest.raises(TypeError, match=r"points: an item of type dpoint, expected point"):
        array.append(ours.dpoint(1, 2))
    array += [ours.point(5, 6)]
    assert str(array) == "points[(1, 2), (3, 4), (5, 6)]"
    with pytest.raises(TypeError):
        array += [3]


def test_floats_are_refused_in_one_line():
    with pytest.raises(TypeError, match=r"^rectangle top: 20.5, expected an integer, as in dlib: int\(round\(...\)\)$"):
        ours.rectangle(10, 20.5, 29, 59)
    with pytest.raises(TypeError, match=r"^point x: 1.5, expected an integer"):
        ours.point(1.5, 2)
