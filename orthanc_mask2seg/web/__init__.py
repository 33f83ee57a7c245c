"""What people and monitoring see of the service: reads jobs, never makes a SEG."""
