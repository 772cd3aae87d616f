"""Library plans for optics benches, typed and described so that every door can offer them."""

from ._axes import disable, enable
from ._knife_edge import knife_edge_scan
from ._stack import fly_stack, image_stack

__all__ = ["disable", "enable", "fly_stack", "image_stack", "knife_edge_scan"]
