# SPDX-License-Identifier: MIT
"""The MNI152 template with maps of what atrophy changes, and synthetic subjects made of it."""
import numpy
from nilearn.datasets import load_mni152_brain_mask, load_mni152_gm_template, load_mni152_template
from scipy.ndimage import gaussian_filter, map_coordinates, zoom

TEMPLATE_MM = 2
CENTRE_MM = numpy.array([0.0, -18.0, 5.0])  # of the brain; the middle of every field of view
HIPPOCAMPUS_MM = numpy.array([27.0, -22.0, -14.0])  # the right one; the left one mirrors it
HIPPOCAMPUS_RADII_MM = numpy.array([7.0, 15.0, 7.0])
VENTRICLE_BOX_MM = numpy.array([[-32.0, -50.0, -8.0], [32.0, 35.0, 32.0]])

# What a degree of 1 does.
VENTRICLE_SHIFT_MM = 6.0  # walls move outwards
HIPPOCAMPUS_SHIFT_MM = 3.5  # its surface moves inwards
HIPPOCAMPUS_LOSS = 0.45  # share of its intensity, CSF instead of tissue
OUTLINE_SHIFT_MM = 1.5  # the brain's surface moves inwards
CORTEX_LOSS = 0.40  # share of the outer cortex' intensity


class Template:
    """Intensities (0 to 1) and maps on a grid of TEMPLATE_MM; `affine` takes indices to mm."""

    def __init__(self):
        image = load_mni152_template(resolution=TEMPLATE_MM)
        self.affine = image.affine
        mask = numpy.asarray(load_mni152_brain_mask(resolution=TEMPLATE_MM).dataobj) > 0
        self.intensity = numpy.clip(numpy.asarray(image.dataobj, dtype=numpy.float64), 0, None) * mask
        grey = numpy.asarray(load_mni152_gm_template(resolution=TEMPLATE_MM).dataobj, dtype=numpy.float64)
        shape = self.intensity.shape
        indices = numpy.stack(numpy.meshgrid(*[numpy.arange(n) for n in shape], indexing="ij"))
        self.mm = indices * TEMPLATE_MM + self.affine[:3, 3].reshape(3, 1, 1, 1)
        self.hippocampi = sum(self._ellipsoid(HIPPOCAMPUS_MM * [side, 1, 1]) for side in (-1, 1))
        box = numpy.logical_and.reduce([(self.mm[i] > VENTRICLE_BOX_MM[0, i]) & (self.mm[i] < VENTRICLE_BOX_MM[1, i])
                                        for i in range(3)])
        dark = mask & (self.intensity < 0.45) & box
        self.ventricles = gaussian_filter(dark.astype(float), 1.0)
        depth = gaussian_filter(mask.astype(float), 10.0 / TEMPLATE_MM)  # 1 deep inside, 1/2 at the surface
        self.cortex = gaussian_filter(grey * numpy.clip(2.0 * (1.0 - depth), 0, 1), 0.5) * mask
        # Directions in which sampling points move for a degree of 1, in mm.
        self.ventricle_field = self._towards(self.ventricles, 6.0, VENTRICLE_SHIFT_MM)
        self.hippocampus_field = -self._towards(self.hippocampi, 5.0, HIPPOCAMPUS_SHIFT_MM)
        self.outline_field = -self._towards(mask.astype(float), 8.0, OUTLINE_SHIFT_MM)

    def _ellipsoid(self, centre):
        distance = sum(((self.mm[i] - centre[i]) / HIPPOCAMPUS_RADII_MM[i]) ** 2 for i in range(3))
        return numpy.exp(-0.7 * distance**2)

    @staticmethod
    def _towards(region, blur_mm, largest_mm):
        """A smooth field that points into `region`, at most `largest_mm` long."""
        gradient = numpy.stack(numpy.gradient(gaussian_filter(region, blur_mm / TEMPLATE_MM)))
        return gradient * (largest_mm / numpy.sqrt((gradient**2).sum(axis=0)).max())

    def sample(self, volume, points_mm):
        """`volume` at points [3, ...] in mm, linearly; 0 outside."""
        indices = (points_mm - self.affine[:3, 3].reshape(3, 1, 1, 1)) / TEMPLATE_MM
        return map_coordinates(volume, indices, order=1, mode="constant", cval=0.0)


def smooth_noise(rng, shape, knots):
    """A random smooth field with deviation about 1: cubic splines through `knots`^3 normal numbers."""
    field = rng.standard_normal((knots,) * 3)
    for size in shape:  # one axis after the other; each pass turns the axes by one
        basis = zoom(numpy.eye(knots), [size / knots, 1], order=3, mode="nearest", grid_mode=True)
        field = numpy.tensordot(field, basis, axes=(0, 1))
    return field


def grid_mm(shape, resolution):
    """Points of a field of view around CENTRE_MM, [3, x, y, z], and its affine."""
    origin = CENTRE_MM - 0.5 * resolution * (numpy.array(shape) - 1)
    indices = numpy.stack(numpy.meshgrid(*[numpy.arange(n) for n in shape], indexing="ij"))
    affine = numpy.diag([resolution, resolution, resolution, 1.0])
    affine[:3, 3] = origin
    return indices * resolution + origin.reshape(3, 1, 1, 1), affine


class Anatomy:
    """One person's head: size, pose and shape, the same at every visit."""

    def __init__(self, rng, points, is_female):
        scale = (1.0 + 0.035 * rng.standard_normal(3) * [1, 1, 1]) * (1.015 if is_female else 0.985)
        angles = numpy.radians(2.5) * rng.standard_normal(3)
        rotation = numpy.eye(3)
        for axis, angle in enumerate(angles):
            a, b = [(1, 2), (2, 0), (0, 1)][axis]
            turn = numpy.eye(3)
            turn[a, a] = turn[b, b] = numpy.cos(angle)
            turn[a, b], turn[b, a] = -numpy.sin(angle), numpy.sin(angle)
            rotation = rotation @ turn
        centre = CENTRE_MM.reshape(3, 1, 1, 1)
        matrix = rotation @ numpy.diag(scale)
        shift = 2.0 * rng.standard_normal(3)
        shape = points.shape[1:]
        self.points = numpy.tensordot(matrix, points - centre, axes=1) + centre + shift.reshape(3, 1, 1, 1)
        self.points += numpy.stack([1.8 * smooth_noise(rng, shape, 7) + 0.7 * smooth_noise(rng, shape, 14)
                                    for _ in range(3)])


def make_scan(rng, template, anatomy, degrees):
    """A scan as int16. `degrees` of atrophy: "ventricles", "hippocampi", "cortex"."""
    points = anatomy.points
    shape = points.shape[1:]
    field = (degrees["ventricles"] * template.ventricle_field + degrees["hippocampi"] * template.hippocampus_field
             + degrees["cortex"] * template.outline_field)
    moved = points + numpy.stack([template.sample(field[i], points) for i in range(3)])
    tissue = template.intensity * (1.0 - HIPPOCAMPUS_LOSS * degrees["hippocampi"] * template.hippocampi)
    tissue = numpy.clip(tissue * (1.0 - CORTEX_LOSS * degrees["cortex"] * template.cortex), 0, None)
    head = template.sample(tissue, moved)
    inside = head > 0.05
    bias = numpy.exp(0.08 * smooth_noise(rng, shape, 4))
    gain = numpy.exp(0.15 * rng.standard_normal())
    noisy = numpy.hypot(head * bias + 0.03 * rng.standard_normal(shape), 0.03 * rng.standard_normal(shape))
    return numpy.round(1000.0 * gain * noisy * inside).astype(numpy.int16)
