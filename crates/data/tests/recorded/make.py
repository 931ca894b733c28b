"""Writes what NumPy, pandas, Pillow and scikit-learn make of the same data, for recorded.rs to compare with.

    pip install numpy pandas pillow scikit-learn
    python crates/data/tests/recorded/make.py            # writes the files beside this one
    python crates/data/tests/recorded/make.py check DIR  # reads what the test wrote into DIR

`check` is what the ignored test `others_read_what_we_write` calls.
"""

import io
import pathlib
import struct
import sys
import zipfile
import zlib

import numpy as np
import pandas as pd

HERE = pathlib.Path(__file__).resolve().parent
TYPES = ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]


def values(code):
    """2×3 numbers that the type has, among them its largest and least."""
    kind = np.dtype(code)
    if kind.kind == "b":
        return np.array([[1, 0, 0], [1, 1, 0]], dtype=bool)
    if kind.kind == "f":
        tiny = {2: 2.0**-24, 4: 2.0**-149, 8: 5e-324}[kind.itemsize]
        return np.array([[0.1, -2.5, np.finfo(kind).max], [tiny, np.inf, -0.0]], dtype=kind)
    info = np.iinfo(kind)
    return np.array([[1, 2, 3], [info.max, info.min, 100]], dtype=kind)


def npz():
    # Each type, byte order, memory order and version, in one archive.
    with zipfile.ZipFile(HERE / "arrays.npz", "w") as archive:
        for code in TYPES:
            for order in "<>":
                for fortran in (False, True):
                    for version in ((1, 0), (2, 0), (3, 0)):
                        array = values(code).astype(np.dtype(code).newbyteorder(order))
                        array = np.asfortranarray(array) if fortran else array
                        data = io.BytesIO()
                        np.lib.format.write_array(data, array, version=version)
                        name = f"{np.dtype(code).name}-{order == '>'}-{fortran}-{version[0]}.npy"
                        info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                        archive.writestr(info, data.getvalue())
    large = np.arange(6000, dtype=np.int32).reshape(20, 300)
    np.savez_compressed(HERE / "deflated.npz", large=large, scalar=np.float64(2.5), none=np.zeros((0, 4), np.float32))
    # As numpy writes it to what it cannot seek in: sizes after the data.
    with open(HERE / "streamed.npz", "wb") as file:

        class Pipe:
            def write(self, data):
                return file.write(data)

            def flush(self):
                file.flush()

        with zipfile.ZipFile(Pipe(), "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open("streamed.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, large[:2])


def csv():
    table = pd.DataFrame(
        {
            "number": [0.1, np.nan, 1e300, -5e-324],
            "integer": [1, -2, 3, 9223372036854775807],
            "word": ["plain", 'a "quoted", one', None, "two\nlines"],
        }
    )
    table.to_csv(HERE / "pandas.csv", index=False)
    table.to_csv(HERE / "pandas.tsv", index=False, sep="\t")


def interlaced(pixels):
    """A PNG in the seven passes of Adam7, which Pillow reads and does not write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    parts = [pixels[y::down, x::right] for x, y, right, down in passes]
    lines = b"".join(b"\0" + line.tobytes() for part in parts if part.size for line in part)
    height, width, _ = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


def images():
    from PIL import Image

    colours = np.clip(np.add.outer(np.arange(9) * 20, np.arange(11) * 7)[..., None] + [0, 40, 80], 0, 255).astype(np.uint8)
    grey = colours[..., 0]
    Image.fromarray(colours).save(HERE / "colours.png")
    (HERE / "interlaced.png").write_bytes(interlaced(colours))
    assert (np.array(Image.open(HERE / "interlaced.png")) == colours).all()
    Image.fromarray(grey).save(HERE / "grey.png")
    Image.fromarray(np.dstack([colours, 255 - grey])).save(HERE / "alpha.png")
    Image.fromarray(colours).quantize(16).save(HERE / "palette.png")
    Image.fromarray(grey.astype(np.int32) * 257).convert("I;16").save(HERE / "sixteen.png")
    Image.fromarray(grey > 120).save(HERE / "bits.png")
    Image.fromarray(colours).save(HERE / "colours.jpg", quality=95, subsampling=0)
    Image.fromarray(colours).save(HERE / "progressive.jpg", quality=90, progressive=True)
    Image.fromarray(grey).save(HERE / "grey.jpg", quality=95)
    pixels = {"colours": colours, "grey": grey, "palette": np.array(Image.open(HERE / "palette.png").convert("RGB"))}
    for name in ("colours.jpg", "progressive.jpg", "grey.jpg"):
        pixels[name] = np.array(Image.open(HERE / name))
    return {f"image/{name}": array for name, array in pixels.items()}


def sklearn():
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, TimeSeriesSplit
    from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler
    from sklearn.utils.class_weight import compute_class_weight

    rng = np.random.default_rng(1)
    # Offsets of few deviations: a mean a thousand deviations away from 0 costs three digits, whoever computes it.
    x = rng.normal(size=(40, 5)) * [1.0, 1e-6, 1e6, 1.0, 3.0] + [0.0, 5e-6, -1e7, 0.1, 40.0]
    x[:, 3] = 0.1
    x[:, 4] = np.round(x[:, 4])
    holes = x.copy()
    holes[rng.random(size=x.shape) < 0.2] = np.nan
    later = x[:7] * 1.5 + 0.25
    cases = {"x": x, "holes": holes, "later": later}
    for name, data in (("x", x), ("holes", holes)):
        scaler = StandardScaler().fit(data)
        cases |= {f"standard/{name}/mean": scaler.mean_, f"standard/{name}/scale": scaler.scale_}
        cases |= {f"standard/{name}/of": scaler.transform(later), f"standard/{name}/own": scaler.transform(data)}
        cases[f"standard/{name}/back"] = scaler.inverse_transform(later)
        for low, high in ((0, 1), (-1, 3)):
            scaler = MinMaxScaler((low, high)).fit(data)
            cases[f"minmax/{name}/{low}/of"] = scaler.transform(later)
            cases[f"minmax/{name}/{low}/back"] = scaler.inverse_transform(later)
    for strategy in ("mean", "median", "most_frequent", "constant"):
        imputer = SimpleImputer(strategy=strategy, fill_value=-7.5 if strategy == "constant" else None).fit(holes)
        cases[f"impute/{strategy}"] = imputer.transform(holes)
    codes = rng.integers(0, 4, size=(30, 3)) * [1, 3, 7]
    cases |= {"codes": codes, "onehot": OneHotEncoder(sparse_output=False).fit_transform(codes)}
    words = np.array(["pear", "apple", "fig", "Zebra", "apple", "éclair", "fig"])
    cases["ordinal"] = OrdinalEncoder().fit_transform(words[:, None])[:, 0].astype(np.int64)
    labels = np.array([2, 0, 1, 1, 0, 2, 2, 2, 0, 1, 2, 2, 0, 2, 1, 0, 2, 2, 2, 0, 1, 2, 2])
    groups = np.array([1, 1, 1, 5, 5, 2, 2, 2, 2, 3, 4, 4, 4, 4, 4, 3, 3, 3, 3, 3, 3, 7, 7])
    cases |= {"labels": labels, "groups": groups}
    rows = np.zeros((len(labels), 1))
    for name, splits in {
        "in_order": KFold(4).split(rows),
        "stratified": StratifiedKFold(4).split(rows, labels),
        "grouped": GroupKFold(3).split(rows, groups=groups),
        "by_time": TimeSeriesSplit(4).split(rows),
        "by_time_gap": TimeSeriesSplit(3, gap=2).split(rows),
    }.items():
        for k, (train, test) in enumerate(splits):
            cases |= {f"fold/{name}/{k}/train": train, f"fold/{name}/{k}/test": test}
    cases["weights"] = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    return cases


def record():
    npz()
    csv()
    np.savez_compressed(HERE / "cases.npz", **sklearn(), **images())


def check(folder):
    folder = pathlib.Path(folder)
    for code in TYPES:
        array = np.load(folder / f"{np.dtype(code).name}.npy")
        expected = values(code)
        assert array.dtype == np.dtype(code) and array.tobytes() == expected.tobytes(), code
    for name in ("stored.npz", "deflated.npz"):
        with np.load(folder / name) as archive:
            assert zipfile.ZipFile(folder / name).testzip() is None
            names = [np.dtype(code).name for code in TYPES]
            assert sorted(archive.files) == sorted([*names, "scalar", "none", "line"]), archive.files
            for code, kind in zip(TYPES, names):
                assert archive[kind].tobytes() == values(code).tobytes(), code
            assert archive["scalar"].shape == () and archive["scalar"] == 2.5
            assert archive["none"].shape == (0, 4)
            assert archive["line"].shape == (3,)
    expected = pd.read_csv(HERE / "pandas.csv", float_precision="round_trip")
    for name, separator in (("table.csv", ","), ("table.tsv", "\t")):
        table = pd.read_csv(folder / name, sep=separator, float_precision="round_trip")
        pd.testing.assert_frame_equal(table, expected, check_exact=True)
    print("all read")


if __name__ == "__main__":
    check(sys.argv[2]) if sys.argv[1:2] == ["check"] else record()
