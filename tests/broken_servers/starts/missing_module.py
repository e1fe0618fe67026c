"""A server that needs a module that is not installed, and ends with an ImportError."""

import course_protocol_helpers  # type: ignore[import-not-found]

if __name__ == "__main__":
    course_protocol_helpers.serve()
