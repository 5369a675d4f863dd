"""The Keras half, on TensorFlow: its input pipeline, models and learner."""
