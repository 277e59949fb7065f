"""What is right: answer extraction and normalisation, the verifiers, and the worker pool that may kill them."""
