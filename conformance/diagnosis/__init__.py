"""From a failure to its likely cause: the causes of each chapter, and control questions that tell one from another."""
