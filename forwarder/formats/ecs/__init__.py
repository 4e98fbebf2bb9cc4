"""ECS, the Elastic Common Schema."""
