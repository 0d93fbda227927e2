"""What the assistant of an annotation is made of: proposals, training, the order of photos, corrections."""
