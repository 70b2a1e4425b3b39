"""All exercises, in the order of the notes: each module registers its own."""

import chapter_1  # noqa: F401
import chapter_2  # noqa: F401
import chapter_3  # noqa: F401
import chapter_4  # noqa: F401
import chapter_5  # noqa: F401
import chapter_6  # noqa: F401
from checks import EXERCISES as EXERCISES
