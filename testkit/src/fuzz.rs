//! The bodies of the fuzz targets: each takes any bytes, and panics where a promise is broken.
