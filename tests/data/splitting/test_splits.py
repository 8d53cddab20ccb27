"""Every rule, on datasets with and without a published split: nothing straddles, nothing is validated on test."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defectbench.config import UserError
from defectbench.data.manifest import Manifest
from defectbench.data.splitting.rules import DCDGAN_C
from defectbench.data.splitting.splits import (
    RULES,
    at_most,
    ignores_groups,
    parse,
    split,
    without,
)

WRITTEN = [
    "official",
    "one_third",
    "dcdgan_c",
    "sdi_dt_gan",
    "few_shot(3)",
    "subset(4 of wood)",
    "k_fold(4, 1)",
    "fraction(test=0.4)",
    "fraction_of_images(test=0.4)",
]


def make(rows: list[dict[str, object]], products: tuple[str, ...] = ("wood",)) -> Manifest:
    table = pd.DataFrame(rows)
    for name, value in {
        "mask": "",
        "split": "",
        "source": "real",
        "mask_source": "none",
        "product": products[0],
    }.items():
        if name not in table:
            table[name] = value
    if "group" not in table:
        table["group"] = table["id"]
    table["image"] = table["id"] + ".png"
    names = sorted({n for names in table["defects"] for n in names})
    table = table.sort_values("id", ignore_index=True)
    return Manifest(table, Path("root"), "test", tuple(names), products)


def mvtec_like(counts: dict[str, dict[str, int]], normals: int = 20, test: int = 6) -> Manifest:
    rows: list[dict[str, object]] = []
    for product, defects in counts.items():
        kinds = [("train", "good", normals), ("test", "good", test)]
        kinds += [("test", defect, number) for defect, number in defects.items()]
        for part, kind, number in kinds:
            names = () if kind == "good" else (kind,)
            rows += [
                {
                    "id": f"{product}/{part}/{kind}/{i:03d}",
                    "product": product,
                    "defects": names,
                    "split": part,
                }
                for i in range(number)
            ]
    return make(rows, tuple(counts))


def grouped(groups: int = 40, size: int = 6) -> Manifest:
    """Like MTD: no published split, several photographs of each part, some parts with two labels."""
    rows: list[dict[str, object]] = []
    for g in range(groups):
        for i in range(size):
            defects = (("hole",), ("scratch",), (), ())[g % 4]
            if g == 5 and i == 0:
                defects = ()  # one photograph of a scratched part does not show the scratch
            rows.append({"id": f"{i}_{g:03d}", "defects": defects, "group": f"part{g:03d}"})
    return make(rows)


WOOD = {"wood": {"color": 8, "hole": 10, "liquid": 10, "scratch": 21, "combined": 11}}


def sides(manifest: Manifest, label: str) -> Counter[str]:
    rows = manifest.table["defects"].map(lambda names: (names or ("good",))[0] == label)
    return Counter(manifest.table["split"][rows])


def straddling(manifest: Manifest) -> list[str]:
    seen = manifest.table.groupby("group")["split"].nunique()
    return seen[seen > 1].index.tolist()


@pytest.mark.parametrize("rule", WRITTEN)
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("kind", ["mvtec", "grouped"])
def test_no_rule_lets_a_part_straddle(rule: str, seed: int, kind: str) -> None:
    manifest = mvtec_like(WOOD) if kind == "mvtec" else grouped()
    if kind == "grouped" and rule == "official":
        with pytest.raises(UserError, match="has no published split"):
            split(manifest, rule)
        return
    done = split(manifest, rule, seed)
    assert straddling(done) == []
    assert set(done.table["split"]) == {"train", "val", "test"}
    assert len(set(done.table["id"])) == len(done)
    assert done.digest() == split(manifest, rule, seed).digest()
    assert set(manifest.table["split"]) <= {"", "train", "test"}  # the input is left alone


def test_every_rule_is_tried_above() -> None:
    leaking = {"one_third_anomalydiffusion_exact", "fraction_by_image_leaks"}
    assert {parse(rule)[0] for rule in WRITTEN} | leaking == set(RULES)


@pytest.mark.parametrize("rule", WRITTEN)
def test_validation_is_never_taken_from_test(rule: str) -> None:
    """Whatever share validates, the test side stays what it is; and published test normals test."""
    manifest = mvtec_like(WOOD)
    tests = [
        set(done.table["id"][done.table["split"] == "test"])
        for done in (split(manifest, rule, validation=v) for v in (0.0, 0.2, 0.6))
    ]
    if rule not in {"sdi_dt_gan", "subset(4 of wood)"}:  # which say themselves what validates
        assert tests[0] == tests[1] == tests[2]
    assert {f"wood/test/good/{i:03d}" for i in range(6)} <= tests[1]
    normals = split(manifest, rule).table.query("split != 'test'")["id"]
    assert not any("/test/good/" in name for name in normals)


def test_official_keeps_defects_in_test() -> None:
    done = split(mvtec_like(WOOD), "official")
    assert sides(done, "hole") == {"test": 10}
    assert sides(done, "good") == {"train": 16, "val": 4, "test": 6}


def test_official_keeps_a_published_validation() -> None:
    rows = [
        {"id": f"{part}{i}", "defects": ("a",), "split": part}
        for part, n in (("train", 10), ("validation", 3), ("test", 7))
        for i in range(n)
    ]
    assert sides(split(make(rows), "official"), "a") == {"train": 10, "val": 3, "test": 7}


def test_one_third_takes_the_first_by_number() -> None:
    rows = [
        {"id": f"wood/test/hole/{i}", "defects": ("hole",), "split": "test"} for i in range(12)
    ]  # 10 and 11 sort before 2 as text
    done = split(make(rows), "one_third", validation=0)
    train = done.table["id"][done.table["split"] == "train"]
    assert sorted(train) == [f"wood/test/hole/{i}" for i in range(4)]


@pytest.mark.parametrize(("n", "train"), [(8, 2), (21, 7), (19, 6), (2, 1), (1, 1)])
def test_one_third_counts_are_those_of_the_fact_sheet(n: int, train: int) -> None:
    done = split(mvtec_like({"wood": {"hole": n}}), "one_third", validation=0)
    assert sides(done, "hole")["train"] == train
    assert sides(done, "hole")["test"] == n - train


def test_the_authors_leak_is_reproduced_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="for reproduction only"):
        done = split(mvtec_like(WOOD), "one_third_anomalydiffusion_exact")
    assert straddling(done) == sorted(
        f"wood/test/{d}/{n // 3:03d}" for d, n in WOOD["wood"].items()
    )
    both = done.table[done.table["group"] == "wood/test/scratch/007"]
    assert sorted(zip(both["id"], both["split"], strict=True)) == [
        ("wood/test/scratch/007", "test"),
        ("wood/test/scratch/007#train", "train"),
    ]
    assert sides(done, "scratch") == {"train": 6 + 1, "val": 1, "test": 14}


def test_dcdgan_c_has_the_counts_of_table_3() -> None:
    manifest = mvtec_like({"carpet": {d: sum(n) for d, n in DCDGAN_C["carpet"].items()}, **WOOD})
    done = split(manifest, "dcdgan_c", validation=0)
    for product, defects in {p: DCDGAN_C[p] for p in ("carpet", "wood")}.items():
        for defect, (train, test) in defects.items():
            assert sides(done.of_products(product), defect) == {"train": train, "test": test}
    assert not sides(done, "combined")
    assert sides(done.of_products("wood"), "good") == {"train": 20, "test": 6}


def test_dcdgan_c_keeps_proportions_and_refuses_other_products() -> None:
    small = split(mvtec_like({"wood": {"color": 4, "hole": 2}}), "dcdgan_c", validation=0)
    assert sides(small, "color") == {"train": 2, "test": 2}
    assert sides(small, "hole") == {"train": 1, "test": 1}
    tile = split(mvtec_like({"tile": {"crack": 17, "rough": 15, "oil": 3}}), "dcdgan_c")
    assert sides(tile, "crack") == {"test": 17}
    assert not sides(tile, "oil")
    with pytest.raises(UserError, match="no counts for product 'bottle'"):
        split(mvtec_like({"bottle": {"x": 3}}), "dcdgan_c")


def sdi_like() -> Manifest:
    rows: list[dict[str, object]] = []
    for product in "AB":
        rows += [{"id": f"{product}_ok_{i}", "product": product, "defects": ()} for i in range(400)]
        for defect, n in (("scratches", 120), ("spots", 60)):
            for part, size in (("train", n - 50), ("val", 15), ("test", 35)):
                rows += [
                    {
                        "id": f"{product}_{defect}_{part}_{i}",
                        "product": product,
                        "defects": (defect,),
                        "split": part,
                    }
                    for i in range(size)
                ]
    return make(rows, ("A", "B"))


def test_sdi_dt_gan_keeps_what_is_published_and_divides_the_normals() -> None:
    done = split(sdi_like(), "sdi_dt_gan").of_products("A")
    assert sides(done, "scratches") == {"train": 70, "val": 15, "test": 35}
    assert sides(done, "good") == {"train": 343, "val": 17, "test": 40}
    of_b = split(sdi_like(), "sdi_dt_gan").of_products("B")
    assert sides(of_b, "good") == {"train": 357, "val": 13, "test": 30}


def test_sdi_dt_gan_holds_out_where_nothing_is_published() -> None:
    manifest = sdi_like()
    done = split(replace(manifest, table=manifest.table.assign(split="")), "sdi_dt_gan")
    assert sides(done.of_products("A"), "scratches") == {"train": 80, "val": 12, "test": 28}
    assert sides(done.of_products("A"), "spots") == {"train": 40, "val": 6, "test": 14}


def test_subset_reduces_one_product_only() -> None:
    done = split(sdi_like(), "subset(20 of A)")
    assert sides(done.of_products("A"), "scratches") == {"train": 20, "val": 15, "test": 35}
    assert sides(done.of_products("B"), "scratches") == {"train": 70, "val": 15, "test": 35}
    assert sides(done.of_products("A"), "good")["train"] == 343


def in_parts(sizes: list[int]) -> Manifest:
    """Images of one defect, no normals; so many to a group."""
    rows = [
        {"id": f"{group:02d}_{k}", "group": f"g{group}", "defects": ("dent",)}
        for group, size in enumerate(sizes)
        for k in range(size)
    ]
    return make(rows)


@pytest.mark.parametrize("seed", range(6))
def test_few_shot_takes_parts_that_fit_before_larger_ones(seed: int) -> None:
    done = split(in_parts([40, 1, 30, 2, 1, 9, 2, 1]), "few_shot(3)", seed, validation=0).table
    sides = done.groupby("group")["split"].unique()
    assert (done["split"] == "train").sum() == 3
    assert all(len(side) == 1 for side in sides)
    assert len(done) == 86  # nothing is left out


@pytest.mark.parametrize("seed", range(3))
def test_few_shot_cuts_a_part_where_all_are_larger(seed: int) -> None:
    done = split(in_parts([40, 30, 9]), "few_shot(5)", seed, validation=0).table
    train = done[done["split"] == "train"]
    assert len(train) == 5
    assert train["group"].nunique() == 1
    assert train["group"].iloc[0] not in set(done.loc[done["split"] == "test", "group"])


def test_few_shot_counts_validation_among_its_images() -> None:
    done = split(mvtec_like(WOOD), "few_shot(5)")
    for defect in WOOD["wood"]:
        seen = sides(done, defect)
        assert seen["train"] + seen["val"] == 5
        assert seen["val"] == 1
    one = split(mvtec_like(WOOD), "few_shot(1)")
    assert sides(one, "hole") == {"train": 1, "test": 9}


def test_folds_test_every_defect_once() -> None:
    manifest = mvtec_like({"wood": {"hole": 7, "color": 2}})
    tested: Counter[str] = Counter()
    for i in range(3):
        done = split(manifest, f"k_fold({3}, {i})", seed=4)
        test = done.table[(done.table["split"] == "test") & done.defective]
        assert len(test) == 3
        tested.update(test["id"])
    assert set(tested.values()) == {1}
    assert len(tested) == 9


def test_fraction_is_stratified_by_images_of_whole_parts() -> None:
    done = split(grouped(), "fraction(test=0.4)", validation=0.25)
    assert sides(done, "hole") == {"train": 30, "val": 6, "test": 24}
    assert abs(sides(done, "good")["test"] - 48) <= 6


def test_a_part_counts_for_what_it_shows_of_its_defect() -> None:
    """One crack among nineteen normal photographs of a tile is one image of a crack, not twenty."""
    rows: list[dict[str, object]] = [
        {"id": f"{g:02d}_{i:02d}", "defects": ("crack",) if i == 0 else (), "group": f"g{g}"}
        for g in range(10)
        for i in range(20 if g % 2 else 1)
    ]
    done = split(make(rows), "fraction(test=0.4)", validation=0)
    assert sides(done, "crack") == {"train": 6, "test": 4}


@pytest.mark.parametrize("test", [0.2, 0.4, 0.6])
@pytest.mark.parametrize("sizes", [(1, 1, 8), (1,) * 10 + (10,)])
def test_a_fraction_of_images_is_that_whatever_the_size_of_groups(test, sizes) -> None:
    """`fraction` gives 1, 1, 8 a mean test share of 0.61, whatever was asked, and the large group tests in most seeds."""
    rows: list[dict[str, object]] = [
        {"id": f"{g:02d}_{i:02d}", "defects": ("crack",), "group": f"g{g}"}
        for g, size in enumerate(sizes)
        for i in range(size)
    ]
    manifest = make(rows)
    shares, large = [], []
    for seed in range(150):
        done = split(manifest, f"fraction_of_images(test={test})", seed, validation=0)
        tests = (done.table["split"] == "test").to_numpy()
        groups = done.table["group"].to_numpy()
        assert set(groups[tests]).isdisjoint(groups[~tests])
        assert 0 < tests.sum() < len(tests)
        shares.append(tests.mean())
        large.append(tests[-1])
    assert np.mean(shares) == pytest.approx(test, abs=0.07)
    assert np.mean(large) == pytest.approx(test, abs=0.13)


def test_a_fraction_of_images_of_equal_groups_is_that_of_fraction() -> None:
    both = [split(grouped(), f"{rule}(test=0.4)") for rule in ("fraction", "fraction_of_images")]
    holes = [one.table[[bool(d) for d in one.table["defects"]]] for one in both]
    assert holes[0]["split"].tolist() == holes[1]["split"].tolist()


def test_another_seed_gives_another_split_of_the_same_counts() -> None:
    a, b = (split(mvtec_like(WOOD), "dcdgan_c", seed) for seed in (0, 1))
    assert a.digest() != b.digest()
    assert Counter(a.table["split"]) == Counter(b.table["split"])


def test_a_stratum_does_not_depend_on_the_others() -> None:
    both = split(mvtec_like({"carpet": {"hole": 17}, "wood": {"hole": 10}}), "fraction(test=0.4)")
    one = split(mvtec_like({"wood": {"hole": 10}}), "fraction(test=0.4)")
    wood = both.of_products("wood").table
    assert dict(zip(wood["id"], wood["split"], strict=True)) == dict(
        zip(one.table["id"], one.table["split"], strict=True)
    )


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("one_thrid", "did you mean 'one_third'"),
        ("few_shot", r"write it as few_shot\(5\)"),
        ("few_shot(x)", r"write it as few_shot\(5\)"),
        ("few_shot(0)", "at least 1"),
        ("official(3)", "write it as official"),
        ("k_fold(1, 0)", "k >= 2"),
        ("k_fold(3, 3)", "k >= 2"),
        ("fraction(train=0.4)", r"write it as fraction\(test=0.4\)"),
        ("fraction(1.5)", "between 0 and 1"),
        ("subset(20)", "write it as subset"),
        ("subset(20 of wod)", "did you mean 'wood'"),
        ("", "no rule"),
    ],
)
def test_bad_rules_are_refused_with_the_cure(rule: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        split(mvtec_like(WOOD), rule)
    with pytest.raises(UserError, match="wants a share"):
        split(mvtec_like(WOOD), "one_third", validation=1.0)


def test_rules_may_name_their_arguments() -> None:
    assert parse("k_fold(k=5, i=2)") == parse("k_fold(5,2)") == ("k_fold", {"k": 5, "i": 2})
    assert parse(" fraction( 0.25 ) ") == ("fraction", {"test": 0.25})


def test_combined_can_be_left_out() -> None:
    kept = without(mvtec_like(WOOD), "combined")
    assert "combined" not in kept.defects
    assert len(kept) == len(mvtec_like(WOOD)) - 11


@settings(max_examples=40, deadline=None)
@given(
    parts=st.lists(
        st.tuples(st.sampled_from(["", "a", "b", "a;b"]), st.integers(1, 5)),
        min_size=1,
        max_size=25,
    ),
    rule=st.sampled_from(
        ["one_third", "few_shot(2)", "k_fold(3, 1)", "fraction(0.3)", "sdi_dt_gan"]
    ),
    seed=st.integers(0, 5),
)
def test_any_dataset_divides_without_loss(
    parts: list[tuple[str, int]], rule: str, seed: int
) -> None:
    rows: list[dict[str, object]] = [
        {
            "id": f"{g:03d}_{i}",
            "group": f"g{g}",
            "defects": tuple(label.split(";")) if label else (),
        }
        for g, (label, size) in enumerate(parts)
        for i in range(size)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = split(make(rows), rule, seed)
    assert straddling(done) == []
    kept = set(done.table["id"])
    lost = {row["group"] for row in rows if row["id"] not in kept}
    if rule.startswith("few_shot"):  # the rest of a part that is too large
        assert lost <= set(done.table.loc[done.table["split"] != "test", "group"])
    else:
        assert not lost


def tiles(groups: int = 12, each: int = 5) -> Manifest:
    """Photographs of tiles: each tile has several photographs of one of two defects, or normal ones."""
    kinds = [("crack",), ("hole",), ()]
    return make(
        [
            {"id": f"{g:02d}-{i}", "group": f"{g:02d}", "defects": kinds[g % 3]}
            for g in range(groups)
            for i in range(each)
        ]
    )


def sides_by_defect(manifest: Manifest) -> Counter[tuple[str, str]]:
    table = manifest.table
    return Counter(zip(table["defects"].map("+".join), table["split"], strict=True))


def test_a_split_by_image_has_the_numbers_of_the_split_by_group_and_leaks():
    by_group = split(tiles(), "fraction(test=0.4)", 7)
    with pytest.warns(UserWarning, match="to measure what that does"):
        by_image = split(tiles(), "fraction_by_image_leaks(test=0.4)", 7)
    assert sides_by_defect(by_image) == sides_by_defect(by_group)
    assert straddling(by_group) == []
    assert len(straddling(by_image)) > 6
    assert ignores_groups("fraction_by_image_leaks(test=0.4)")
    assert not ignores_groups("fraction(test=0.4)")


def test_a_seed_for_validation_leaves_the_test_images():
    def on(side: str, **seeds: int) -> set[str]:
        found = split(tiles(24), "fraction(test=0.4)", **seeds).table
        return set(found["id"][found["split"] == side])

    assert on("test") == on("test", validation_seed=5)
    assert on("val") != on("val", validation_seed=5)
    assert on("test") != on("test", seed=5)
    assert on("val", seed=3) == on("val", seed=3, validation_seed=3)


def test_a_limit_by_image_is_exact_nested_and_leaves_other_sides():
    whole = split(tiles(24), "fraction(test=0.4)")
    few, more = (at_most(whole, limit, 1, by_image=True) for limit in (3, 8))
    for limit, cut in ((3, few), (8, more)):
        counts = sides_by_defect(cut)
        assert {counts[kind, "train"] for kind in ("crack", "hole")} == {limit}
        assert counts["", "train"] == sides_by_defect(whole)["", "train"]
        for side in ("val", "test"):
            ids = [set(m.table["id"][m.table["split"] == side]) for m in (whole, cut)]
            assert ids[0] == ids[1]
    trained = [set(m.table["id"][m.table["split"] == "train"]) for m in (few, more)]
    assert trained[0] < trained[1]
    assert max(sides_by_defect(at_most(whole, 3)).values()) > 3, "by group, whole tiles are kept"
