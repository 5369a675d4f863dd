"""The datasets, one row each: shape, number and source of the images.

A dataset in a format that `lib/data/formats/` reads is one row here. A new format is one more file there.
"""

from dataclasses import dataclass

from lib.errors import ParameterError


@dataclass(frozen=True)
class Download:
    """An official file: its address and MD5."""

    url: str
    md5: str

    @property
    def file(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class Archive(Download):
    """An official archive: also the one folder in it, and a file that identifies this folder."""

    folder: str
    marker: str


@dataclass(frozen=True)
class Dataset:
    """One dataset; `size` is an image's height and width in pixels, `train`, `test` and `val` count images.

    The val images are taken from the train images. `reader` names a function in `lib/data/formats/` as `file.function`.
    The images come from `archive`, from several `files` packed by gzip, from the Python package `library`, or else from
    parquet files only; `hub` is the id on the Hugging Face hub. `class_names` are in the order of the labels.
    `work` is the key under which the references have the dataset's source.
    """

    name: str
    title: str
    classes: int
    size: int
    channels: int
    train: int
    test: int
    val: int
    reader: str = ""
    archive: Archive | None = None
    files: tuple[Download, ...] = ()
    library: str | None = None
    hub: str | None = None
    class_names: tuple[str, ...] = ()
    work: str = ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """An image's height, width and channels."""
        return self.size, self.size, self.channels

    @property
    def cited(self) -> str:
        """The title with a citation of the dataset's source, in Markdown."""
        return f"{self.title} [@{self.work}]" if self.work else self.title

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes, or their numbers as text where they have no names here."""
        return self.class_names or tuple(map(str, range(self.classes)))


_FASHION_MNIST = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"

_ROWS = (
    Dataset(
        name="digits",
        title="scikit-learn digits",
        work="alpaydin1998",
        classes=10,
        size=32,
        channels=3,
        train=1_437,
        test=360,
        val=144,
        reader="digits.read",
        library="scikit-learn",
    ),
    Dataset(
        name="cifar10",
        title="CIFAR-10",
        work="krizhevsky2009",
        classes=10,
        size=32,
        channels=3,
        train=50_000,
        test=10_000,
        val=5_000,
        reader="cifar.read_cifar10",
        archive=Archive(
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            "c58f30108f718f92721af3b95e74349a",
            folder="cifar-10-batches-py",
            marker="test_batch",
        ),
        class_names=(
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ),
    ),
    Dataset(
        name="cifar100",
        title="CIFAR-100",
        work="krizhevsky2009",
        classes=100,
        size=32,
        channels=3,
        train=50_000,
        test=10_000,
        val=5_000,
        reader="cifar.read_cifar100",
        archive=Archive(
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            "eb9058c3a382ffc7106e4002c42a8d85",
            folder="cifar-100-python",
            marker="test",
        ),
    ),
    Dataset(
        name="tiny_imagenet",
        title="Tiny-ImageNet-200",
        work="le2015",
        classes=200,
        size=64,
        channels=3,
        train=100_000,
        test=10_000,
        val=10_000,
        reader="tiny_imagenet.read",
        archive=Archive(
            "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
            "90528d7ca1a48142e341f4ef8d21d0de",
            folder="tiny-imagenet-200",
            marker="wnids.txt",
        ),
        hub="zh-plus/tiny-imagenet",
    ),
    Dataset(
        name="fashion_mnist",
        title="Fashion-MNIST",
        work="xiao2017",
        classes=10,
        size=28,
        channels=1,
        train=60_000,
        test=10_000,
        val=5_000,
        reader="idx.read",
        files=(
            Download(f"{_FASHION_MNIST}/train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            Download(f"{_FASHION_MNIST}/train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
            Download(f"{_FASHION_MNIST}/t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
            Download(f"{_FASHION_MNIST}/t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
        ),
        class_names=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
    ),
)

DATASETS = {row.name: row for row in _ROWS}


def choose(name: str) -> Dataset:
    """Return the dataset of this name; `ParameterError` lists the names where there is none."""
    if name not in DATASETS:
        raise ParameterError(f"no dataset {name!r}; choose from: {', '.join(DATASETS)}")
    return DATASETS[name]
