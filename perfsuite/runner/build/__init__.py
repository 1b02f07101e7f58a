"""From a workload and a recipe to an artifact: passes, export, an engine's build; all cached."""
