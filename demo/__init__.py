"""The bundled model: a guide to Portico, and the scripts that made it."""
