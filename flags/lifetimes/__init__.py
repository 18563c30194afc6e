"""How long flags live: who still asks for them, where they are on, and which of them should go."""
