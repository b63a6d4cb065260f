INCLUDE lztkwtop.
INCLUDE lztkwuxx.
