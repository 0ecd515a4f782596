"""What several tests share: builders of resources and hand-written stand-ins for the edges."""
