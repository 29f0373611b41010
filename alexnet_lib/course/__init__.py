"""What makes a library a course: exercises, checks, progress and widgets."""
