"""Files of other products, each read by a module with a function `read`, which returns flags of a flag file."""
