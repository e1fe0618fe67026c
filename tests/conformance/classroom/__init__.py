"""The tests of classes: which targets there are, how they are judged side by side, and the page about them."""
