"""The names of build parameters that are documented, whichever plugin reads them and when."""

from typing import Final

#: what every build knows
_FACTORY: Final = """
callbacks forget labels lock reuse snapshot strict
boot_test compression filesystem firmware installer network source_date_epoch
"""

#: what clients of the original factory send, to every stage of a build alike
_ORIGINAL: Final = """
generate_icicle install_script libvirt_xml offline_icicle oz_overrides
atlas_box_name atlas_box_version
comment compress create_docker_metadata docker_cmd docker_env docker_image_id docker_label
docker_set_arch_label dockerversion os repository tag tar_excludes tar_options
ec2_ami_type ec2_flatten ec2_image_format ec2_modify ec2_virt_type skip_ec2_modifications
gce_image_family gce_image_name gce_object_name
input_image_device input_image_file input_image_filename results_location utility_cpus
utility_customizations utility_image working_space_device
fusion_nested_virt fusion_network_controller_type fusion_scsi_controller_type
hyperv_ova_format hyperv_vagrant ovf_cpu_count ovf_memory_mb ovf_name
rhevm_default_display_type rhevm_description rhevm_os_descriptor rhevm_ova_format
vagrant_sync_directory vsphere_cdrom vsphere_nested_virt vsphere_network_controller_type
vsphere_os_type vsphere_ova_format vsphere_product_name vsphere_product_vendor_name
vsphere_product_version vsphere_scsi_controller_type vsphere_virtual_system_type vsphere_vmdk_format
base_mac command_prefix default_user direct_boot disk_size min_disk min_ram request_floating_ip
"""

PARAMETERS: Final = frozenset(f"{_FACTORY} {_ORIGINAL}".split())
