//! YAML decoded with places: all problems of a file at once, each with line and column.
