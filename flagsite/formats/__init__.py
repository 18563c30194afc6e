"""How Django writes moments on pages where nobody says it: as all our pages do."""
