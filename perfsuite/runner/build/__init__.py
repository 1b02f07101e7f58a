"""From a workload and a recipe to an artifact: passes, export and build; all of it cached."""
