"""The colours of the charts of reports. They can be told apart on screen and on paper."""

BLUE = "#2563eb"
GREEN = "#15803d"
RED = "#dc2626"
ORANGE = "#ea580c"
GREY = "#94a3b8"
