"""Grades: from a recorded run to points, line by line, and to the files that a course needs."""
