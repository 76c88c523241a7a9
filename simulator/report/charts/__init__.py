"""What each kind of picture shows: one module for each family of charts, from scenarios to plain numbers."""
