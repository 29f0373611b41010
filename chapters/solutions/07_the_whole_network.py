"""Solutions to the exercises of chapter 07."""


def fc_parameters(channels, side, units):
    """Count the weights and biases of a fully connected layer over a block of maps.

    Each unit has a weight for every number of the block, and one bias.
    """
    weights_per_unit = channels * side * side
    return units * (weights_per_unit + 1)


def layer_macs(inputs, outputs, windows, groups, sides):
    """Count the multiply-accumulates of each layer for one picture.

    Every output number costs one for each weight of its kernel.
    """
    macs = []
    for i in range(len(inputs)):
        weights_per_kernel = inputs[i] // groups[i] * windows[i] * windows[i]
        macs.append(outputs[i] * sides[i] * sides[i] * weights_per_kernel)
    return macs


def count_neurons(side, channels, windows, strides, paddings):
    """Count the outputs of all layers that aren't poolings.

    A pooling has channels 0: it changes the side and adds nothing.
    """
    neurons = 0
    for i in range(len(channels)):
        side = (side + 2 * paddings[i] - windows[i]) // strides[i] + 1
        neurons += channels[i] * side * side
    return neurons
